"""`lempo interpret`: scene graphs to captions of the images (scene graph interpretation, SGI)."""

from collections.abc import Callable, Iterator

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import read_batches
from pipeline.captions.brought import BroughtTexts
from pipeline.captions.rows import Row
from pipeline.captions.run import write_captions
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import INTERPRET
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import GroupGraph, graph_from_row
from pipeline.graph.summary import summarised
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/interpretations/<dataset>.parquet` and `metrics/interpret.json`: one row for every graph.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing; raised before a model is loaded.
    """
    settings, expected = read_settings(INTERPRET, params, paths), Expected(params, paths)
    checkers = {
        dataset: Checker(vocabulary_of(graph for _, graph, _ in _images(dataset, expected)))
        for dataset in params.datasets
    }
    write_captions(_rows(checkers, settings, expected), settings, paths, engine)


def _rows(checkers: dict[str, Checker], settings: Settings, expected: Expected) -> Iterator[Row]:
    for dataset, checker in checkers.items():
        brought = BroughtTexts(expected, dataset, "interpretation")
        for image_id, graph, is_summarised in _images(dataset, expected):
            yield Row(
                dataset=dataset,
                id=image_id,
                messages=settings.messages(graph),
                graph=graph,
                checker=checker,
                summarised=is_summarised,
                empty=not graph.groups,
                brought=brought.of(image_id),
            )
        brought.finish()


def _images(dataset: str, expected: Expected) -> Iterator[tuple[str, GroupGraph, bool]]:
    """Every image, its scene graph as the prompt states it, and whether that is not all of it."""
    limits = (expected.params.llm.max_groups, expected.params.llm.max_relations)
    file = expected.paths.scene_graphs(dataset)
    for batch in read_batches(file, SCENE_GRAPHS, expect=expected.corpus(dataset)):
        for row in batch.to_pylist():
            yield row["image_id"], *summarised(graph_from_row(row), *limits)
