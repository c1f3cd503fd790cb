"""`lempo interpret`: scene graphs, images or both to captions of the images (SGI)."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import read_batches
from pipeline.captions.brought import BroughtTexts
from pipeline.captions.pictures import Pictures
from pipeline.captions.rows import Given, Row
from pipeline.captions.run import write_captions
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import INTERPRET
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import GroupGraph, SceneGraph, graph_from_row
from pipeline.graph.summary import summarised
from pipeline.graph.table import GraphTable
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
    checkers = {
        dataset: Checker(vocabulary_of(image.graph for image in _images(dataset, expected) if image.graph))
        for dataset in params.datasets
    }
    write_captions(_rows(checkers, settings, expected), settings, paths, engine)


def _rows(checkers: dict[str, Checker], settings: Settings, expected: Expected) -> Iterator[Row]:
    for dataset, checker in checkers.items():
        brought = BroughtTexts(expected, dataset, "interpretation")
        for image in _images(dataset, expected):
            graph = image.graph
            given: Given = "graph" if image.picture is None else "graph and image"
            if image.picture is not None and (graph is None or not graph.groups):
                graph, given = None, "image"
            yield Row(
                dataset=dataset,
                id=image.id,
                messages=settings.messages_without_graph() if graph is None else settings.messages(graph),
                graph=graph,
                checker=checker,
                summarised=image.summarised and graph is not None,
                empty=graph is not None and not graph.groups,
                brought=brought.of(image.id),
                picture=image.picture,
                given=given,
            )
        brought.finish()


class _Image(NamedTuple):
    """An image to describe: its scene graph as the prompt states it, and whether that is not all of it."""

    id: str
    graph: GroupGraph | None
    summarised: bool
    picture: Picture | None


def _images(dataset: str, expected: Expected) -> Iterator[_Image]:
    """Every image that has a graph; where the model sees images, every image."""
    limits = (expected.params.llm.max_groups, expected.params.llm.max_relations)
    file = expected.paths.scene_graphs(dataset)
    if not expected.params.llm.images:
        for batch in read_batches(file, SCENE_GRAPHS, expect=expected.corpus(dataset)):
            for row in batch.to_pylist():
                yield _Image(row["image_id"], *summarised(graph_from_row(row), *limits), None)
        return
    pictures, graphs = Pictures(expected, dataset), GraphTable(file)
    for some in pictures:
        known: dict[str, SceneGraph] = graphs.of(list(some))
        for id, picture in some.items():
            graph = known.get(id)
            stated, cut = (None, False) if graph is None else summarised(graph, *limits)
            yield _Image(id, stated, cut, picture)
