"""`lempo interpret`: scene graphs, images or both to captions of the images (SGI)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pyarrow as pa

from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import content_hash, read_batches
from pipeline.captions.brought import BroughtTexts
from pipeline.captions.parts import Part, content_of, cut
from pipeline.captions.pictures import Pictures
from pipeline.captions.rows import Given, Row
from pipeline.captions.run import write_captions
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import INTERPRET
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import SceneGraph, graph_from_row
from pipeline.graph.summary import Limits, summarised
from pipeline.graph.table import GraphTable, labels_of
from pipeline.llm.pictures import Picture
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/interpretations/<dataset>.parquet` and `metrics/interpret.json`: one row for every graph.

    With `llm.images` it is one row for every image; those without a graph, or with an empty one, are
    described from their pixels alone.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing; raised before a model is loaded.
    """
    settings, expected = read_settings(INTERPRET, params, paths), Expected(params, paths)
    datasets = [_Dataset(name, settings, expected) for name in params.datasets]
    parts = (part for dataset in datasets for part in dataset.parts())
    write_captions(parts, settings, paths, engine)


class _Image(NamedTuple):
    """An image to describe. `read` reads its graph again: all graphs at once would fill the memory."""

    id: str
    graph: SceneGraph | None
    picture: Picture | None
    read: Callable[[], SceneGraph]


class _Dataset:
    """The images of a dataset, and the checker of their interpretations."""

    def __init__(self, name: str, settings: Settings, expected: Expected) -> None:
        self._name, self._settings, self._expected = name, settings, expected
        self._limits = Limits(settings.llm.max_groups, settings.llm.max_relations)
        self._contents: list[tuple[int, str]] = []  # of each part: how many rows it has, and their hash
        pictured = settings.llm.images
        self._vocabulary = vocabulary_of((), labels_of(self._batches() if pictured else self._surveyed()))
        self._checker = Checker(self._vocabulary)

    def parts(self) -> Iterator[Part]:
        brought = BroughtTexts(self._expected, self._name, "interpretation")
        if self._settings.llm.images:
            for images in self._pictured():
                texts = brought.among(image.id for image in images)
                yield Part(self._name, partial(self._rows, images, texts), len(images))
        else:
            labels, parts = identity_hash(self._vocabulary.labels()), _Cut(self._batches())
            for place, (count, content) in enumerate(self._contents):
                if brought.left:
                    rows = parts.at(place)
                    texts = brought.among(rows["image_id"].to_pylist())
                    make = partial(self._rows, _Images(rows), texts)
                else:
                    texts, make = {}, partial(self._rows_at, parts, place)
                yield Part(self._name, make, count, content_of(content, labels, texts))
        brought.finish()

    def _surveyed(self) -> Iterator[pa.RecordBatch]:
        """All rows, of which the sizes and hashes of the parts are noted."""
        for rows in cut(self._batches(), "image_id"):
            self._contents.append((len(rows), content_hash(rows)))
            yield from rows.to_batches()

    def _rows_at(self, parts: "_Cut", place: int) -> Iterator[Row]:
        return self._rows(_Images(parts.at(place)), {})

    def _rows(self, images: Iterable[_Image], texts: Mapping[str, str]) -> Iterator[Row]:
        for image in images:
            again = partial(self._again, image.id, image.read, image.picture)
            yield replace(
                self._row(image.id, image.graph, image.picture, self._limits),
                brought=texts.get(image.id),
                again=again,
            )

    def _row(self, id: str, whole: SceneGraph | None, picture: Picture | None, limits: Limits) -> Row:
        graph, is_summarised = (None, False) if whole is None else summarised(whole, *limits)
        given: Given = "graph" if picture is None else "graph and image"
        if picture is not None and (graph is None or not graph.groups):
            graph, is_summarised, given = None, False, "image"
        settings = self._settings
        return Row(
            dataset=self._name,
            id=id,
            messages=settings.messages_without_graph() if graph is None else settings.messages(graph),
            graph=graph,
            checker=self._checker,
            summarised=is_summarised,
            empty=graph is not None and not graph.groups,
            picture=picture,
            given=given,
            shown=graph,
        )

    def _again(self, id: str, read: Callable[[], SceneGraph], picture: Picture | None, limits: Limits) -> Row:
        row = self._row(id, read(), picture, limits)
        return replace(row, again=partial(self._again, id, read, picture))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        file = self._expected.paths.scene_graphs(self._name)
        return read_batches(file, SCENE_GRAPHS, expect=self._expected.corpus(self._name))

    def _pictured(self) -> Iterator[list[_Image]]:
        """Every image, with its graph where it has one, a few thousand at a time."""
        graphs = GraphTable(self._expected.paths.scene_graphs(self._name))
        for some in Pictures(self._expected, self._name):
            known = graphs.of(list(some))
            yield [
                _Image(id, known.get(id), picture, partial(_graph_of, graphs, id))
                for id, picture in some.items()
            ]


class _Cut:
    """The parts of the scene graph table, which is only read once one is asked for, in ascending order."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._parts = enumerate(cut(batches, "image_id"))
        self._last: tuple[int, pa.Table] | None = None

    def at(self, place: int) -> pa.Table:
        """The rows of a part; places must not descend."""
        while self._last is None or self._last[0] < place:
            self._last = next(self._parts)
        return self._last[1]


class _Images:
    """The images of some rows of the scene graph table; each is made when its turn comes."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[_Image]:
        for batch in self._rows.to_batches():
            for index, row in enumerate(batch.to_pylist()):
                yield _Image(row["image_id"], graph_from_row(row), None, partial(_graph_at, batch, index))


def _graph_at(batch: pa.RecordBatch, index: int) -> SceneGraph:
    (row,) = batch.slice(index, 1).to_pylist()
    return graph_from_row(row)


def _graph_of(graphs: GraphTable, id: str) -> SceneGraph:
    return graphs.of([id])[id]
