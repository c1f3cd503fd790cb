"""lempo check

Finds in seconds what would stop a long run, and says what it will cost. Nothing is generated or trained.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from lempo.archives import archive_checks
from lempo.belonging import belonging
from lempo.costs import costs
from lempo.doctor import install, vllm_import_error
from lempo.experiments import queued_experiments
from lempo.findings import Finding, shown_bytes
from lempo.hub import find_on_hub
from lempo.machine import memory
from lempo.project_rows import spread
from pipeline.base.errors import UserError, parameter_error
from pipeline.base.images import probe
from pipeline.base.params import Params, VlmParams, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SPLITS
from pipeline.captions.stages import CAPTION, INTERPRET, PAIRS
from pipeline.corpus.folder import GRAPHS_FILE, QUERIES_FILE, missing_files
from pipeline.corpus.json_rows import read_rows
from pipeline.llm.prompt import Placeholder, load_prompt
from stages.sources import WORLD_FILE, check_source, image_files

_FIRST_ROWS = 5000
_IMAGES = 32  # that are decoded
_WEIGHTS = (".safetensors", ".gguf")
_VLM_WEIGHTS = (".safetensors", ".bin", ".pt")
_NO_WEIGHTS = ("llm.engine_args.tokenizer", "llm.engine_args.hf_config_path")
_FREE_BYTES = 2 * 10**9


def run_checks(params_file: Path, paths: Paths) -> Iterator[Finding]:
    """Look at everything that a run needs, one finding each; the last ones say what it will cost.

    A failure does not stop the other checks, but without sound parameters there are none.
    """
    try:
        params = load_params(params_file)
    except (UserError, OSError) as error:
        yield Finding("parameters", False, str(error))
        return
    count = len(params.datasets)
    yield Finding("parameters", True, f"{count} dataset{'s' if count > 1 else ''}")
    for name, check in _checks(params, paths):
        yield _finding(name, check)
    total: dict[str, Any] = {}
    for cost in costs(params, paths):
        yield cost
        total = cost.figures  # the last ones are of all stages
    yield _finding("device", partial(_device, params))
    yield _finding("memory", partial(_memory, total["memory"] or 0))
    yield _finding("disk", partial(_disk, paths, total["disk"] or 0))


def _finding(name: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, check())
    except (UserError, OSError) as error:
        return Finding(name, False, str(error))


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
    if params.llm.engine != "endpoint":
        yield "engine", partial(_engine, params)
    yield "vision language model", partial(_vision_language_model, params, paths)
    if params.speed.embed_engine == "ray":
        yield "engine of embed", partial(_ray, "speed.embed_engine")
    for dataset in params.datasets:
        yield f"tables of {dataset}", partial(belonging, params, paths, dataset)
    yield "queued experiments", partial(queued_experiments, params, paths)


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
    images = spread(image_files(folder), _IMAGES)
    probes = [(name, probe(folder / name, params.corpus.max_pixels)) for name in images]
    unusable = [f"{name}: {found.error}. {found.remedy}" for name, found in probes if found.error]
    if len(unusable) > params.corpus.max_reject_share * len(images):
        reason = f"{len(unusable)} of {len(images)} images cannot be used. The first: {unusable[0]}"
        raise UserError(reason, "`lempo corpus` lists all", file=folder)
    queries = [row for _, row in rows.get(QUERIES_FILE, []) if isinstance(row, dict)]
    lacking = set(SPLITS) - {str(row.get("split")) for row in queries}
    if lacking and 0 < len(queries) < _FIRST_ROWS and not params.pairs.beside_brought:
        reason = f"no query is of the split {' or '.join(sorted(lacking))}"
        remedy = "Tuning and evaluation need train, val and test: give some rows this split"
        raise UserError(reason, remedy, file=folder / QUERIES_FILE, field="split")
    read = ", ".join(f"{len(first):,} of {name}" for name, first in rows.items())
    return f"{folder}, {len(images)} images and the first rows ({read}) can be used; `lempo corpus` reads all"


def _prompt(path: Path, placeholders: Sequence[Placeholder]) -> str:
    return f"{path}, {len(load_prompt(path, placeholders).turns)} turns"


def _language_model(params: Params, paths: Paths) -> str:
    if params.llm.engine == "endpoint":
        from pipeline.llm.endpoint_engine import reported_model

        return f"{params.llm.model} at {params.llm.endpoint}: {reported_model(params.llm, paths.cache)}"
    from pipeline.llm.chat_templates import check_turns, try_chat_templates
    from pipeline.llm.model_files import check_llm_files, local_folder, named_models
    from pipeline.llm.vllm_arguments import check_names
    from pipeline.llm.vllm_images import check_takes_images

    check_names(params.llm, params.speed.llm)
    folders = check_llm_files(params.llm, paths.root, local_only=True)
    said, tokenizer = [], paths.root
    for name, field, revision in named_models(params.llm):
        folder = local_folder(name, paths.root, field)
        if folder is None:
            weights = () if field in _NO_WEIGHTS else _WEIGHTS
            found = find_on_hub(name, revision, weights, field)
            folder = found.folder
            said.append(f"{name}, {found}")
        elif field == "llm.model":
            if not any(file for ending in _WEIGHTS for file in folder.glob(f"*{ending}")):
                remedy = "Run `dvc pull` or train the model, or convert its weights"
                raise UserError("the model folder holds no .safetensors file", remedy, file=folder)
            said.append(str(folder))
        if folder is not None and field in ("llm.model", "llm.engine_args.tokenizer"):
            tokenizer = folder
    prompt = load_prompt(paths.root / params.caption.prompt, CAPTION.placeholders)
    graph = "\n".join(["a red car at the top left"] * 20)
    row = prompt.render(graph=graph, graph_json=graph, modification="make the car blue")
    try_chat_templates(params.llm, folders, row)
    if tokenizer != paths.root and params.llm.engine_args.get("tokenizer_mode", "auto") in ("auto", "hf"):
        said.append(check_turns(params.llm, tokenizer, row))
    if params.llm.images:
        check_takes_images(params.llm, paths.root)
    return "; ".join(said) + _trusted("llm", params.llm.trust_remote_code)


def _engine(params: Params) -> str:
    if params.llm.engine == "ray":
        _ray("llm.engine")
    if error := vllm_import_error():
        remedy = f"Run `{install('gpu')}` (or cpu), or set llm.engine to endpoint; `lempo doctor` says more"
        raise parameter_error("vLLM cannot be imported", remedy, "llm.engine", error)
    return "vLLM can be imported"


def _ray(field: str) -> str:
    if importlib.util.find_spec("ray") is None:
        raise parameter_error("Ray is not installed", f"Run: {install('ray')}", field, "ray")
    return "Ray is installed"


def _trusted(section: str, on: bool) -> str:
    return f"; {section}.trust_remote_code is true: code that comes with it may run" if on else ""


def _vision_language_model(params: Params, paths: Paths) -> str:
    from pipeline.vision.vlm import load_tokenizer

    here = _vlm_weights(params.vlm)
    context = load_tokenizer(params.vlm, paths.root).context_length
    trusted = _trusted("vlm", params.vlm.trust_remote_code)
    return f"{params.vlm.model}, {context} tokens of context{here}{trusted}"


def _vlm_weights(params: VlmParams) -> str:
    """Where the weights of a VLM are that is no folder; "" for one that is.

    Raises:
        UserError: what `find_on_hub` raises.
    """
    from pipeline.vision.source import HUB, LOCAL

    if params.model.startswith(LOCAL) or (params.pretrained or "").endswith(".safetensors"):
        return ""
    if params.model.startswith(HUB):
        return f", {find_on_hub(params.model.removeprefix(HUB), None, _VLM_WEIGHTS, 'vlm.model')}"
    import open_clip

    given = open_clip.get_pretrained_cfg(params.model.replace("/", "-"), params.pretrained or "")
    repository = str(given.get("hf_hub") or "").rpartition("/")[0]
    return f", {find_on_hub(repository, None, _VLM_WEIGHTS, 'vlm.pretrained')}" if repository else ""


def _device(params: Params) -> str:
    from pipeline.vision.vlm import resolve_device

    return resolve_device(params.speed.device)


def _memory(needed: float) -> str:
    had = memory()
    if needed > had:
        reason = f"a stage takes {shown_bytes(needed)} of memory, and the machine has {shown_bytes(had)}"
        raise UserError(reason, "Use a smaller model, a server (llm.engine: endpoint) or another machine")
    return f"{shown_bytes(had)}"


def _disk(paths: Paths, needed: float) -> str:
    if not os.access(paths.root, os.W_OK):
        remedy = "Change its owner or permissions, or run in a copy"
        raise UserError("the project's folder cannot be written", remedy, file=paths.root.absolute())
    free, least = shutil.disk_usage(paths.root).free, max(_FREE_BYTES, needed)
    if free < least:
        reason = f"less than {shown_bytes(least)} of disk space is free"
        remedy = "Delete files, or use another disk"
        raise UserError(reason, remedy, file=paths.root, value=shown_bytes(free))
    return f"{free / 1e9:.0f} GB free"
