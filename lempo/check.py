"""lempo check

What an expensive run would trip over, found in seconds: nothing is generated, embedded or trained.
"""

import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.corpus.folder import GRAPHS_FILE, QUERIES_FILE
from pipeline.corpus.json_rows import read_rows
from stages.sources import WORLD_FILE, check_source

_FIRST_ROWS = 100
_FREE_BYTES = 2 * 10**9

Check = tuple[str, Callable[[], str]]


def run_checks(params_file: Path, paths: Paths) -> bool:
    """Print one line a check, `ok` or `FAIL`; true when all passed. A check that fails ends no other."""
    params: list[Params] = []

    def parameters() -> str:
        params.append(load_params(params_file))
        count = len(params[0].datasets)
        return f"{count} dataset{'s' if count > 1 else ''}"

    passed = _report("parameters", parameters)
    if not passed:
        return False
    for name, check in _checks(params[0], paths):
        passed = _report(name, check) and passed
    return passed


def _report(name: str, check: Callable[[], str]) -> bool:
    try:
        found = check()
    except (UserError, OSError) as error:
        print(f"FAIL {name}: {error}")
        return False
    print(f"ok   {name}: {found}")
    return True


def _checks(params: Params, paths: Paths) -> Iterator[Check]:
    for dataset in params.datasets:
        folder = paths.root / params.corpus.root / dataset
        yield f"dataset {dataset}", lambda folder=folder: _dataset(folder)  # type: ignore[misc]
    yield "prompt of interpret", lambda: _prompt(paths.root / params.interpret.prompt, ("graph",))
    yield "prompt of caption", lambda: _prompt(paths.root / params.caption.prompt, ("graph", "modification"))
    yield "language model", lambda: _language_model(params, paths)
    yield "vision language model", lambda: _vision_language_model(params, paths)
    yield "device", lambda: _device(params)
    yield "disk", lambda: _disk(paths)


def _dataset(folder: Path) -> str:
    check_source(folder)
    if (folder / WORLD_FILE).is_file():
        return "a world to draw"
    for name in (GRAPHS_FILE, QUERIES_FILE):
        if not list(islice(read_rows(folder / name), _FIRST_ROWS)):
            raise UserError("the file has no rows", "Add some", file=folder / name)
    return f"files that begin well; `lempo corpus` checks every row of {folder}"


def _prompt(path: Path, placeholders: tuple[str, ...]) -> str:
    from pipeline.llm.prompt import load_prompt

    return f"{path}, {len(load_prompt(path, placeholders).turns)} turns"


def _language_model(params: Params, paths: Paths) -> str:
    if params.llm.engine == "endpoint":
        from pipeline.llm.endpoint_engine import reported_model

        return f"{params.llm.model} at {params.llm.endpoint}: {reported_model(params.llm, paths.cache)}"
    from pipeline.llm.identity import local_folder
    from pipeline.llm.vllm_arguments import check_names

    check_names(params.llm, params.speed.llm)
    folder = local_folder(params.llm.model, paths.root)
    if folder is None:
        return f"{params.llm.model} from the hub, or its local copy"
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            "the model folder holds no .safetensors file",
            "Train or pull the model, or convert its weights",
            file=folder,
        )
    return f"{folder}"


def _vision_language_model(params: Params, paths: Paths) -> str:
    from pipeline.vision.vlm import load_tokenizer

    return f"{params.vlm.model}, {load_tokenizer(params.vlm, paths.root).context_length} tokens of context"


def _device(params: Params) -> str:
    from pipeline.vision.vlm import resolve_device

    return resolve_device(params.speed.device)


def _disk(paths: Paths) -> str:
    free = shutil.disk_usage(paths.root).free
    if free < _FREE_BYTES:
        raise UserError(
            "little disk space is left", "Free some", file=paths.root, value=f"{free / 1e9:.1f} GB"
        )
    return f"{free / 1e9:.0f} GB free"
