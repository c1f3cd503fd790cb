"""What each stage will cost: rows times what one took, in hours, tokens, disk, memory; part of `lempo check`.

A unit cost was measured when the stage last ran on this machine, or just now on a few images, or, for the
embedded models, on another machine (`measured.py`). Where there is none of these, it is not known. Memory
that no run has shown is what the weights alone take.
"""

import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lempo.belonging import language_model
from lempo.findings import Finding, shown_bytes
from lempo.measured import Measured, measured
from lempo.project_rows import Project, is_made, most_rows, queries_of, spread
from lempo.prompt_length import prompt_length
from pipeline.base.cores import usable_cores
from pipeline.base.decode import ALL
from pipeline.base.errors import UserError, reading
from pipeline.base.expected import Expected
from pipeline.base.files import refuse_lfs_pointers
from pipeline.base.images import probe, small_copies
from pipeline.base.model_folder import safetensors_header_bytes
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import RANKINGS, SPLITS
from pipeline.captions.stages import CAPTION, INTERPRET, LanguageStage
from pipeline.captions.stages import PAIRS as WRITING
from pipeline.llm.model_files import local_folder
from pipeline.report.pictures import TILE

_DECODED, _EMBEDDED, _COPIED = 32, 16, 16  # images that are tried
_NOT_RUN = "how long one takes is not known until the stage has run here"
_TRAINED = 5  # weights, their gradients and two moments, and the best weights
_KV_CACHE = 1_500_000_000  # bytes that vLLM gets on a CPU, beside the weights


@dataclass(frozen=True)
class Cost:
    """What a stage will cost at most; None where that is not known, 0 where everything is made.

    Attributes:
        said: where that comes from.
        seconds: of the whole stage.
        read, written: tokens of all prompts and answers.
        disk, memory: bytes.
        weights_alone: whether `memory` is what the weights take, and a run takes more.
    """

    said: str
    seconds: float | None = None
    read: float | None = None
    written: float | None = None
    disk: float | None = None
    memory: float | None = None
    weights_alone: bool = False

    def __str__(self) -> str:
        parts = [self.said]
        if self.read and self.written:
            parts.append(f"in all {shown_count(self.read)} tokens read, {shown_count(self.written)} written")
        if self.disk:
            parts.append(f"{shown_bytes(self.disk)} of disk")
        if self.memory:
            least = "at least " if self.weights_alone else ""
            parts.append(f"{least}{shown_bytes(self.memory)} of memory")
        return "; ".join(parts)


def costs(params: Params, paths: Paths) -> Iterator[Finding]:
    """What each stage will cost, and all of them."""
    project = Project(params, paths)
    stages: dict[str, Callable[[], Cost]] = {
        "corpus": partial(_corpus, project),
        "pairs": partial(_pairs, project),
        "interpret": partial(_language, project, INTERPRET),
        "caption": partial(_language, project, CAPTION),
        "embed": partial(_embed, project),
        "tune": partial(_tune, project),
        "evaluate": partial(_evaluate, project),
        "report": partial(_report, project),
    }
    found: dict[str, Cost] = {}
    for stage, cost in stages.items():
        found[stage] = _known(cost)
        yield Finding(f"cost of {stage}", True, str(found[stage]), asdict(found[stage]))
    total = _total(found)
    yield Finding("cost of all", True, str(total), asdict(total))


def _total(found: dict[str, Cost]) -> Cost:
    """Sums of what is known; of memory the most, since stages run one after another."""
    unknown = [stage for stage, cost in found.items() if cost.seconds is None]
    seconds = sum(cost.seconds or 0 for cost in found.values())
    said = f"at most {duration(seconds)}" if seconds or not unknown else "the time is not known"
    if seconds and unknown:
        said += f", and what {', '.join(unknown)} take, which is not known"

    def all_of(name: str) -> list[float]:
        return [value for cost in found.values() if (value := getattr(cost, name)) is not None]

    read, written, disk = (sum(all_of(name)) for name in ("read", "written", "disk"))
    most = max(found.values(), key=lambda cost: cost.memory or 0)
    known = None if unknown else seconds
    return Cost(said, known, read, written, disk, most.memory, most.weights_alone)


def _known(cost: Callable[[], Cost]) -> Cost:
    """What hinders a figure stands in its place; that a run would meet it, other lines of the check say."""
    try:
        return cost()
    except UserError as error:
        return Cost(f"not known: {error}")


def _corpus(project: Project) -> Cost:
    count = project.images
    if project.tables:
        return Cost(f"the tables are made, of {count:,} images", 0.0)
    if (seconds := project.speed("corpus").get("seconds_total")) is not None:
        return Cost(f"{count:,} images; the last run took {duration(seconds)}", seconds)
    workers = min(project.params.speed.workers, usable_cores())
    if any(project.planned(name) for name in project.params.datasets):
        each = max(map(project.drawing_seconds, project.params.datasets)) / workers
        return Cost(_product(count, "images", each, "drawing, as measured on a few"), count * each)
    if not count:
        return Cost("not known: there is no image yet")
    since = time.perf_counter()
    tried = [probe(file, project.params.corpus.max_pixels) for file in spread(project.files, _DECODED)]
    each = (time.perf_counter() - since) / len(tried) / workers
    said = _product(count, "images", each, f"decoding, as measured on {len(tried)} of them")
    return Cost(said, count * each)


def _pairs(project: Project) -> Cost:
    if project.params.pairs.write == "rules":
        return Cost("made queries are written by rule: no model is asked", 0.0)
    return _language(project, WRITING)


def _language(project: Project, stage: LanguageStage) -> Cost:
    params, paths, expected = project.params, project.paths, project.expected
    if (count := most_rows(project, stage)) is None:
        before = "corpus" if stage is INTERPRET else "pairs"
        return Cost(f"not known before `lempo {before}`, which says how many rows there are")
    model = language_model(expected)
    made_from = partial(_made_from, stage, expected, model)
    if all(
        is_made(project, stage.table(paths, name), stage.schema, made_from, name) for name in params.datasets
    ):
        return Cost(f"the texts are made, of {count:,} rows", 0.0)
    section = stage.section(params)
    answer, samples = section.max_tokens + params.llm.thought_tokens, getattr(section, "samples", 1)
    length, tokens, prompts = prompt_length(project, stage, answer)
    said = f"at most {count:,} rows, fewer where texts are in the cache; {prompts}"
    read = length * count * samples if tokens else None
    weights = _language_memory(project)
    texts = count * samples
    if (unit := measured(params, paths, stage.name)) is None:
        return Cost(f"{said}; {_NOT_RUN} with this model", None, read, answer * texts, None, weights, True)
    took = _measured_product(texts, "texts", unit)
    said = f"{said}; {took}, and {duration(unit.start_seconds)} to start"
    seconds, written = texts * unit.seconds + unit.start_seconds, texts * (unit.tokens or 0)
    return Cost(said, seconds, read, written, count * unit.disk, unit.memory)


def _language_memory(project: Project) -> float | None:
    """Bytes that the weights of the language model take, with the KV cache, where vLLM runs on a CPU."""
    import torch

    params = project.params
    if params.llm.engine == "endpoint" or torch.cuda.is_available():
        return None  # on a GPU vLLM takes the share of its memory that it is told to take
    folder = local_folder(params.llm.model, project.paths.root)
    return None if folder is None else weights_count(folder) * 4 + _KV_CACHE


def weights_count(folder: Path) -> int:
    """How many numbers the .safetensors files of a folder hold, by their headers.

    Raises:
        UserError: one is a git-LFS pointer, or damaged.
    """
    count = 0
    for file in folder.glob("*.safetensors"):
        with reading(file, "Restore it"):
            refuse_lfs_pointers([file])
            length = safetensors_header_bytes(file)
            with open(file, "rb") as content:
                content.seek(8)
                header = json.loads(content.read(length))
            count += sum(math.prod(of["shape"]) for name, of in header.items() if name != "__metadata__")
    return count


def _made_from(
    stage: LanguageStage, expected: Expected, model: dict[str, str], dataset: str
) -> dict[str, Any]:
    return stage.made_from(expected, dataset) | model


def _embed(project: Project) -> Cost:
    params, paths, expected = project.params, project.paths, project.expected
    count = project.images
    if project.tables and all(
        project.holds(partial(_features, paths.features(name), expected, name)) for name in params.datasets
    ):
        return Cost(f"the features are made, of {count:,} images", 0.0)
    if not count:
        return Cost("not known: there is no image yet")
    if project.uncut:
        return Cost("not known before `lempo corpus`, which cuts images into tiles")
    unit = measured(params, paths, "embed")
    can_try = project.files and params.vlm.model.startswith("local-dir:")
    if unit is not None and (unit.here or not can_try):
        said = _measured_product(count, "images", unit)
        seconds = count * unit.seconds + unit.start_seconds
        return Cost(said, seconds, disk=2 * count * unit.disk, memory=unit.memory)  # 2: and in the cache
    if not can_try:
        return Cost(f"{count:,} images; {_NOT_RUN} with this model")
    each, tried = _embedding_seconds(project)
    weights = _vlm_bytes(project)
    said = _product(count, "images", each, f"as measured on {tried} of them")
    return Cost(said, count * each, memory=weights, weights_alone=True)


def _vlm_bytes(project: Project) -> float | None:
    """What the weights of the VLM take in single precision; None where they are not in a folder."""
    _, local, folder = project.params.vlm.model.rpartition("local-dir:")
    return 4 * weights_count(project.paths.root / folder) if local else None


def _features(folder: Path, expected: Expected, dataset: str) -> None:
    from pipeline.vision.features import read_features

    read_features(folder, expected.features(dataset))


def _embedding_seconds(project: Project) -> tuple[float, int]:
    """Seconds for one image, without those that the model takes to load, and how many images were tried."""
    from pipeline.base.files import sha256_file
    from pipeline.vision.batch_size import batch_size
    from pipeline.vision.embedding import Spent, embed_images
    from pipeline.vision.reading import Source
    from pipeline.vision.vlm import load_vlm

    params = project.params
    vlm = load_vlm(params.vlm, params.speed.device, project.paths.root)
    limit = params.corpus.max_pixels
    files = [file for file in spread(project.files, _EMBEDDED) if probe(file, limit).error is None]
    sources = [Source(file, sha256_file(file), limit) for file in files]
    batch = min(batch_size(vlm, params.speed.embed_batch, len(sources)), max(1, len(sources)))
    list(embed_images(vlm, sources[:1], batch=1, workers=1, spent=Spent()))  # the first image takes longer
    spent = Spent()
    list(embed_images(vlm, sources, batch=batch, workers=1, spent=spent))
    if not spent.images:
        raise UserError("no image of the first ones can be decoded", "Look at `lempo corpus`")
    return (spent.forward + spent.decode / params.speed.workers) / spent.images, spent.images


def _tune(project: Project) -> Cost:
    params, paths = project.params, project.paths
    queries = [queries_of(project, name, ("train",)) for name in params.datasets]
    if any(count is None for count in queries):
        return Cost("not known before `lempo pairs`, which says how many queries there are")
    count, epochs = sum(filter(None, queries)), params.tune.epochs
    passes = f"{count:,} queries of train, at most {epochs} epochs"
    if _all_tuned(project):
        return Cost(f"the encoders are made, of {count:,} queries", 0.0)
    if (unit := measured(params, paths, "tune")) is None:
        weights = _vlm_bytes(project)
        memory, disk = (
            (None, None) if weights is None else (_TRAINED * weights, len(params.datasets) * weights)
        )
        return Cost(f"{passes}; {_NOT_RUN} with this model", disk=disk, memory=memory, weights_alone=True)
    said = f"{passes}; {_measured_product(count * epochs, 'examples', unit)}"
    seconds = count * epochs * unit.seconds + len(params.datasets) * unit.start_seconds
    return Cost(said, seconds, disk=len(params.datasets) * unit.disk, memory=unit.memory)


def _all_tuned(project: Project) -> bool:
    folders = {name: project.paths.tuned(name) for name in project.params.datasets}
    return all(
        project.holds(partial(_tuned, folder, project.expected, name)) for name, folder in folders.items()
    )


def _tuned(folder: Path, expected: Expected, dataset: str) -> None:
    from trainer.tuning.folder import read_record

    read_record(folder, expected.tuned(dataset))


def _evaluate(project: Project) -> Cost:
    params, paths = project.params, project.paths
    queries = [queries_of(project, name, SPLITS) for name in params.datasets]
    if any(count is None for count in queries):
        return Cost("not known before `lempo pairs`, which says how many queries there are")
    count = sum(filter(None, queries))
    expected = project.expected
    if _all_tuned(project) and all(
        is_made(project, paths.rankings(name), RANKINGS, expected.rankings, name) for name in params.datasets
    ):
        return Cost(f"the rankings are made, of {count:,} queries", 0.0)
    if (unit := measured(params, paths, "evaluate")) is None:
        return Cost(f"{count:,} queries; {_NOT_RUN} with this model")
    said = _measured_product(count, "queries", unit)
    return Cost(said, count * unit.seconds, disk=count * unit.disk, memory=unit.memory)


def _report(project: Project) -> Cost:
    """The small copies of pictures take most of its time."""
    count = min(project.images, project.params.report.pictures)
    if not count:
        return Cost("not known: there is no image yet")
    files = [file for file in spread(project.files, _COPIED) if probe(file, ALL).error is None]
    pictures = [file.read_bytes() for file in files] or [_noise()]
    since = time.perf_counter()
    size = sum(len(copy) for data in pictures for copy in small_copies(data, TILE))
    took = time.perf_counter() - since
    each = took / len(pictures) / min(project.params.speed.workers, usable_cores())
    tried = f"{len(files)} of them" if files else "a picture of noise"
    said = _product(count, "pictures", each, f"small copies, as measured on {tried}")
    return Cost(said, count * each, disk=count * size / len(pictures))


def _noise() -> bytes:
    """A picture for images that are not drawn yet."""
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((256, 256), 60.0).save(file, "JPEG")
    return file.getvalue()


def _measured_product(count: int, what: str, unit: Measured) -> str:
    where = unit.machine if unit.here else f"another machine: {unit.machine}"
    return _product(count, what, unit.seconds, f"measured on {unit.units:,}, {where}")


def shown_count(count: float) -> str:
    """A number for people, as in 1.5 million."""
    return f"{count / 1e6:,.1f} million" if count >= 1e6 else f"{count:,.0f}"


def _product(count: int, what: str, each: float, source: str) -> str:
    return f"{count:,} {what} x {1000 * each:.3g} ms ({source}) = {duration(count * each)}"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
