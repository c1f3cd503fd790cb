"""What each stage will cost: rows times what one row took when it was last measured; part of `lempo check`.

A figure is the last run's, or measured just now on a few images. Where there is neither, it is not known.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lempo.belonging import language_model
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import read_json
from pipeline.base.images import probe
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, PAIRS, SCENE_GRAPHS, SPLITS
from pipeline.base.tables import read_batches, table_provenance
from pipeline.captions.stages import CAPTION, INTERPRET, LanguageStage
from pipeline.captions.stages import PAIRS as WRITING
from pipeline.graph.notation import as_json, serialise
from pipeline.graph.scene_graph import GroupGraph, graph_from_row
from pipeline.graph.summary import summarised
from pipeline.llm.model_files import local_folder
from stages.sources import brought, image_files

_DECODED, _EMBEDDED, _PROMPTS = 32, 16, 50  # images and prompts that are tried
T = TypeVar("T")
_NOT_RUN = "how long one takes is not known until the stage has run here"


def costs(params: Params, paths: Paths) -> Iterator[tuple[str, Callable[[], str]]]:
    """A name for each stage, and a function that says what it will cost."""
    project = _Project(params, paths)
    stages: dict[str, Callable[[], str]] = {
        "corpus": partial(_corpus, project),
        "pairs": partial(_pairs, project),
        "interpret": partial(_language, project, INTERPRET),
        "caption": partial(_language, project, CAPTION),
        "embed": partial(_embed, project),
        "tune": partial(_trainer, project, "tune"),
        "evaluate": partial(_trainer, project, "evaluate"),
    }
    for stage, cost in stages.items():
        yield f"cost of {stage}", partial(_known, cost)


def _known(cost: Callable[[], str]) -> str:
    """What hinders a figure stands in its place; that a run would meet it, other lines of the check say."""
    try:
        return cost()
    except UserError as error:
        return f"not known: {error}"


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many of the items, evenly spread."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else list(items)


class _Project:
    """The rows of a project's datasets as far as they are known, and the speed of its last runs."""

    def __init__(self, params: Params, paths: Paths) -> None:
        self.params, self.paths = params, paths
        self.expected = Expected(params, paths)

    @cached_property
    def tables(self) -> bool:
        """Whether the tables of the corpus are there and hold."""
        return all(self.holds(partial(self.expected.corpus, name)) for name in self.params.datasets)

    @cached_property
    def files(self) -> list[Path]:
        """The image files of all datasets; of a world that was not drawn there are none."""
        return [file for name in self.params.datasets for file in self.files_of(name)]

    @cache  # noqa: B019
    def files_of(self, dataset: str) -> list[Path]:
        if self.tables:
            paths = pq.read_table(self.paths.images(dataset), columns=["path"])["path"].to_pylist()
            return [self.paths.root / path for path in paths]
        folder = self.paths.root / self.params.corpus.root / dataset
        return [folder / name for name in image_files(folder)] if folder.is_dir() else []

    @property
    def uncut(self) -> bool:
        """Whether images will be cut into tiles, whose number is not known yet."""
        return self.params.corpus.tile_size is not None and not self.tables

    def holds(self, check: Callable[[], object]) -> bool:
        try:
            check()
            return True
        except (UserError, OSError):
            return False

    def speed(self, stage: str) -> dict[str, Any]:
        """The figures of the stage's last run; none if it has not run here."""
        file = self.paths.speed(stage)
        if not file.is_file():
            return {}
        try:
            return read_json(file, "Run the stage again", "the figures cannot be read")
        except UserError:
            return {}


def _corpus(project: _Project) -> str:
    count = len(project.files)
    if project.tables:
        return f"the tables are made, of {count:,} images"
    if not count:
        return "not known: worlds are drawn, and there is no image yet"
    if (seconds := project.speed("corpus").get("seconds_total")) is not None:
        return f"{count:,} images; the last run took {duration(seconds)}"
    since = time.perf_counter()
    tried = [probe(file, project.params.corpus.max_pixels) for file in spread(project.files, _DECODED)]
    each = (time.perf_counter() - since) / len(tried) / project.params.speed.workers
    return _product(count, "images", each, f"decoding, as measured on {len(tried)} of them")


def _pairs(project: _Project) -> str:
    if project.params.pairs.write == "rules":
        return "made queries are written by rule: no model is asked"
    return _language(project, WRITING)


def _language(project: _Project, stage: LanguageStage) -> str:
    params, paths, expected = project.params, project.paths, project.expected
    if (count := _most_rows(project, stage)) is None:
        before = "corpus" if stage is INTERPRET else "pairs"
        return f"not known before `lempo {before}`, which says how many rows there are"
    model = language_model(expected)
    made_from = partial(_made_from, stage, expected, model)
    if all(
        _is_made(project, stage.table(paths, name), stage.schema, made_from, name) for name in params.datasets
    ):
        return f"the texts are made, of {count:,} rows"
    said = f"at most {count:,} rows, fewer where texts are in the cache; {_tokens(project, stage)}"
    speed = project.speed(stage.name)
    if not speed.get("generated") or speed.get("model") != params.llm.model:
        return f"{said}; {_NOT_RUN} with this model"
    each, start = speed["generate_seconds"] / speed["generated"], speed["engine_start_seconds"]
    return f"{said}; {_product(count, 'rows', each, 'as in the last run')}, and {duration(start)} to start"


def _made_from(
    stage: LanguageStage, expected: Expected, model: dict[str, str], dataset: str
) -> dict[str, Any]:
    return stage.made_from(expected, dataset) | model


def _most_rows(project: _Project, stage: LanguageStage) -> int | None:
    """How many rows a stage has; before the tables are made, how many it has at most, if that is known."""
    params, paths, expected = project.params, project.paths, project.expected
    files = {name: stage.source(params, paths, name) for name in params.datasets}
    described = IMAGES if params.llm.images else SCENE_GRAPHS
    source, made_from = (PAIRS, expected.pairs) if stage is CAPTION else (described, expected.corpus)
    if stage is not WRITING and all(
        _is_made(project, files[name], source, made_from, name) for name in files
    ):
        return sum(pq.read_metadata(file).num_rows for file in files.values())
    if project.uncut:
        return None
    total = 0
    for name in params.datasets:
        images = len(project.files_of(name))
        folder = paths.root / params.corpus.root / name
        if not images or (stage is not INTERPRET and "queries" in brought(folder)):
            return None
        limits = params.pairs
        total += images if stage is INTERPRET else min(images * limits.per_image, limits.most * len(SPLITS))
    return total


def _is_made(
    project: _Project, file: Path, schema: pa.Schema, made_from: Callable[[str], Any], dataset: str
) -> bool:
    return project.holds(lambda: table_provenance(file, schema, made_from(dataset)))


def _tokens(project: _Project, stage: LanguageStage) -> str:
    """How long prompts are, on average over a few, and how long answers may be."""
    from pipeline.llm.prompt import load_prompt

    params, section = project.params, stage.section(project.params)
    template = load_prompt(project.paths.root / section.prompt, stage.placeholders)
    examples = list(_examples(project))
    prompts = []
    for graph, modification in examples or [(GroupGraph(None, (), ()), "")]:
        values = {"modification": modification, "difference": modification, "style": ""}
        values |= {"graph": serialise(graph), "graph_json": as_json(graph)}
        prompts.append("\n".join(turn["content"] for turn in template.render(**values)))
    answer = f"an answer has at most {section.max_tokens + params.llm.thought_tokens} tokens"
    if params.llm.images and stage.pictures:
        answer = f"and an image of at most {params.llm.image_side} pixels a side, {answer}"
    row = "" if examples else " beside its row"
    folder = local_folder(params.llm.model, project.paths.root) if params.llm.engine != "endpoint" else None
    tokenizer = None if folder is None else _tokenizer(folder / "tokenizer.json")
    if tokenizer is None:
        length = sum(map(len, prompts)) / len(prompts)
        return f"a prompt has about {length:,.0f} characters{row}, {answer}"
    length = sum(len(encoded.ids) for encoded in tokenizer.encode_batch(prompts)) / len(prompts)
    return f"a prompt has about {length:,.0f} tokens{row}, {answer}"


def _tokenizer(file: Path) -> Any:
    """The tokenizer in a file; None where there is none that this library reads."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception:  # the library raises no other kind; vLLM, which reads others too, says what is wrong
        return None


def _examples(project: _Project) -> Iterator[tuple[GroupGraph, str]]:
    """Graphs and modifications of a few rows as a prompt states them; they need not belong together."""
    params, paths = project.params, project.paths
    if not project.tables:
        return
    limits = (params.llm.max_groups, params.llm.max_relations)
    each = -(-_PROMPTS // len(params.datasets))
    for dataset in params.datasets:
        graphs = next(read_batches(paths.scene_graphs(dataset), SCENE_GRAPHS), None)
        pairs = paths.pairs(dataset)
        batch = next(read_batches(pairs, PAIRS, columns=["modification"]), None) if pairs.is_file() else None
        modifications = [] if batch is None else batch["modification"].to_pylist()
        for number, row in enumerate([] if graphs is None else graphs.slice(0, each).to_pylist()):
            graph, _ = summarised(graph_from_row(row), *limits)
            yield graph, modifications[number] if number < len(modifications) else ""


def _embed(project: _Project) -> str:
    params, paths, expected = project.params, project.paths, project.expected
    count = len(project.files)
    if project.tables and all(
        project.holds(partial(_features, paths.features(name), expected, name)) for name in params.datasets
    ):
        return f"the features are made, of {count:,} images"
    if not count:
        return "not known: there is no image yet"
    if project.uncut:
        return "not known before `lempo corpus`, which cuts images into tiles"
    speed = project.speed("embed")
    if (rate := speed.get("images_per_second")) and speed.get("model") == params.vlm.model:
        return _product(count, "images", 1 / rate, "as in the last run")
    if not params.vlm.model.startswith("local-dir:"):
        return f"{count:,} images; {_NOT_RUN} with this model"
    each, tried = _embedding_seconds(project)
    return _product(count, "images", each, f"as measured on {tried} of them")


def _features(folder: Path, expected: Expected, dataset: str) -> None:
    from pipeline.vision.features import read_features

    read_features(folder, expected.features(dataset))


def _embedding_seconds(project: _Project) -> tuple[float, int]:
    """Seconds for one image, without those that the model takes to load, and how many images were tried."""
    from pipeline.base.files import sha256_file
    from pipeline.vision.embedding import Source, Spent, embed_images
    from pipeline.vision.vlm import load_vlm

    params = project.params
    vlm = load_vlm(params.vlm, params.speed.device, project.paths.root)
    limit = params.corpus.max_pixels
    files = [file for file in spread(project.files, _EMBEDDED) if probe(file, limit).error is None]
    sources = [Source(file, sha256_file(file), limit) for file in files]
    batch = min(params.speed.embed_batch, max(1, len(sources)))
    list(embed_images(vlm, sources[:1], batch=1, workers=1, spent=Spent()))  # the first image takes longer
    spent = Spent()
    list(embed_images(vlm, sources, batch=batch, workers=1, spent=spent))
    if not spent.images:
        raise UserError("no image of the first ones can be decoded", "Look at `lempo corpus`")
    return (spent.forward + spent.decode / params.speed.workers) / spent.images, spent.images


def _trainer(project: _Project, stage: str) -> str:
    known, unknown = [], []
    for dataset in project.params.datasets:
        seconds = project.speed(f"{stage}/{dataset}").get("seconds")
        if seconds is None:
            unknown.append(dataset)
        else:
            spent = sum(seconds.values()) if isinstance(seconds, dict) else seconds
            known.append(f"{dataset} {duration(spent)}")
    said = [f"the last run, with the rows and parameters of then, took: {', '.join(known)}"] if known else []
    if unknown:
        said.append(f"not known for {', '.join(unknown)}: the stage has not run here")
    return "; ".join(said)


def _product(count: int, what: str, each: float, source: str) -> str:
    return f"{count:,} {what} x {1000 * each:.3g} ms ({source}) = {duration(count * each)}"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
