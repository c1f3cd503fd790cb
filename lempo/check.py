"""lempo check

Finds in seconds what would stop a long run, and says what it will cost. Nothing is generated or trained.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from lempo.archives import archive_checks
from lempo.belonging import belonging
from lempo.costs import costs
from lempo.experiments import queued_experiments
from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.captions.stages import CAPTION, INTERPRET, PAIRS
from pipeline.corpus.folder import GRAPHS_FILE, QUERIES_FILE, missing_files
from pipeline.corpus.json_rows import read_rows
from pipeline.llm.prompt import Placeholder, load_prompt
from stages.sources import WORLD_FILE, check_source

_FIRST_ROWS = 100
_FREE_BYTES = 2 * 10**9


def run_checks(params_file: Path, paths: Paths) -> bool:
    """Print one line for each check, `ok` or `FAIL`; true if all passed.

    A failure does not stop the other checks, but without sound parameters there are none.
    """
    try:
        params = load_params(params_file)
    except (UserError, OSError) as error:
        print(f"FAIL parameters: {error}")
        return False
    count = len(params.datasets)
    print(f"ok   parameters: {count} dataset{'s' if count > 1 else ''}")
    passed = True
    for name, check in _checks(params, paths):
        try:
            print(f"ok   {name}: {check()}")
        except (UserError, OSError) as error:
            print(f"FAIL {name}: {error}")
            passed = False
    return passed


def _checks(params: Params, paths: Paths) -> Iterator[tuple[str, Callable[[], str]]]:
    """The name of each check, and a function that returns details or raises a `UserError`."""
    for dataset in params.datasets:
        yield f"dataset {dataset}", partial(_dataset, paths.root / params.corpus.root / dataset, params)
        yield from archive_checks(params, paths, dataset)
    if params.pairs.write == "llm":
        yield "prompt of pairs", partial(_prompt, paths.root / params.pairs.prompt, PAIRS.placeholders)
    yield (
        "prompt of interpret",
        partial(_prompt, paths.root / params.interpret.prompt, INTERPRET.placeholders),
    )
    if params.llm.images:
        alone = paths.root / params.interpret.prompt_without_graph
        yield "prompt of interpret, without a graph", partial(_prompt, alone, ())
    yield "prompt of caption", partial(_prompt, paths.root / params.caption.prompt, CAPTION.placeholders)
    if params.llm.repairs:
        repair = paths.root / params.caption.repair_prompt
        yield "prompt of caption, for repairs", partial(_prompt, repair, CAPTION.placeholders)
    yield "language model", partial(_language_model, params, paths)
    yield "vision language model", partial(_vision_language_model, params, paths)
    for dataset in params.datasets:
        yield f"tables of {dataset}", partial(belonging, params, paths, dataset)
    yield "queued experiments", partial(queued_experiments, params, paths)
    yield from costs(params, paths)
    yield "device", partial(_device, params)
    yield "disk", partial(_disk, paths)


def _dataset(folder: Path, params: Params) -> str:
    check_source(folder)
    if (folder / WORLD_FILE).is_file():
        return "a world to draw"
    brought = [name for name in (GRAPHS_FILE, QUERIES_FILE) if (folder / name).is_file()]
    if not brought:
        return f"{folder}, an archive; `lempo corpus` reads every file"
    rows = {name: list(islice(read_rows(folder / name), _FIRST_ROWS)) for name in brought}
    for name, first in rows.items():
        if not first:
            raise UserError("the file has no rows", "Add at least one", file=folder / name)
    graphs = rows.get(GRAPHS_FILE, []) if params.corpus.tile_size is None else []  # a tile has no file
    missing, seen = missing_files(folder, graphs), len(graphs)
    if len(missing) > params.corpus.max_reject_share * seen:
        reason = f"{len(missing)} of the first {seen} graphs have no image file. The first: {missing[0]}"
        raise UserError(reason, "`lempo corpus` lists all", file=folder)
    return f"{folder}, the first rows of its files are valid JSON; `lempo corpus` checks every row"


def _prompt(path: Path, placeholders: Sequence[Placeholder]) -> str:
    return f"{path}, {len(load_prompt(path, placeholders).turns)} turns"


def _language_model(params: Params, paths: Paths) -> str:
    if params.llm.engine == "endpoint":
        from pipeline.llm.endpoint_engine import reported_model

        return f"{params.llm.model} at {params.llm.endpoint}: {reported_model(params.llm, paths.cache)}"
    from pipeline.llm.chat_templates import try_chat_templates
    from pipeline.llm.model_files import check_llm_files, local_folder
    from pipeline.llm.vllm_arguments import check_names
    from pipeline.llm.vllm_images import check_takes_images

    check_names(params.llm, params.speed.llm)
    folders = check_llm_files(params.llm, paths.root, local_only=True)
    prompt = load_prompt(paths.root / params.caption.prompt, CAPTION.placeholders)
    graph = "\n".join(["a red car at the top left"] * 20)
    row = prompt.render(graph=graph, graph_json=graph, modification="make the car blue")
    try_chat_templates(params.llm, folders, row)
    if params.llm.images:
        check_takes_images(params.llm, paths.root)
    trusted = _trusted("llm", params.llm.trust_remote_code)
    folder = local_folder(params.llm.model, paths.root)
    if folder is None:
        return f"{params.llm.model}, from the model hub or its local copy{trusted}"
    if not any(folder.glob("*.safetensors")):
        raise UserError(
            "the model folder holds no .safetensors file",
            "Run `dvc pull` or train the model, or convert its weights",
            file=folder,
        )
    return f"{folder}{trusted}"


def _trusted(section: str, on: bool) -> str:
    return f"; {section}.trust_remote_code is true: code that comes with it may run" if on else ""


def _vision_language_model(params: Params, paths: Paths) -> str:
    from pipeline.vision.vlm import load_tokenizer

    context = load_tokenizer(params.vlm, paths.root).context_length
    trusted = _trusted("vlm", params.vlm.trust_remote_code)
    return f"{params.vlm.model}, {context} tokens of context{trusted}"


def _device(params: Params) -> str:
    from pipeline.vision.vlm import resolve_device

    return resolve_device(params.speed.device)


def _disk(paths: Paths) -> str:
    free = shutil.disk_usage(paths.root).free
    if free < _FREE_BYTES:
        reason = f"less than {_FREE_BYTES / 1e9:.0f} GB of disk space is free"
        value = f"{free / 1e9:.1f} GB"
        raise UserError(reason, "Delete files, or use another disk", file=paths.root, value=value)
    return f"{free / 1e9:.0f} GB free"
