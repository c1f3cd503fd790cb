"""`lempo interpret`: scene graphs to captions of the images (scene graph interpretation, SGI)."""

from collections.abc import Callable, Iterator
from itertools import groupby
from operator import itemgetter

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, SCENE_GRAPHS
from pipeline.base.tables import read_batches
from pipeline.captions.rows import Row
from pipeline.captions.run import Repeatable, prepare, run_rows
from pipeline.faithfulness.check import vocabulary_of
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, serialise
from pipeline.graph.summary import summarised
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/interpretations/<dataset>.parquet` and `metrics/interpret.json`: one row for every graph.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing; said before a model is loaded.
    """
    template, settings = prepare("interpret", params.interpret, ("graph",), params, paths)
    source = Repeatable(lambda: _graphs(params, paths))
    vocabularies = {
        dataset: vocabulary_of(graph for _, _, graph, _ in part)
        for dataset, part in groupby(source, key=itemgetter(0))
    }
    rows = (
        Row(
            dataset,
            image_id,
            template.render(graph=serialise(graph)),
            graph,
            vocabularies[dataset],
            summarised=less,
            empty=not graph.groups,
        )
        for dataset, image_id, graph, less in source
    )
    run_rows(
        rows,
        source.count,
        settings,
        params,
        paths,
        id_column="image_id",
        schema=INTERPRETATIONS,
        table_path=paths.interpretations,
        engine=engine,
    )


def _graphs(params: Params, paths: Paths) -> Iterator[tuple[str, str, GroupGraph, bool]]:
    """For every graph: its dataset and image, what the prompt says of it, and whether that is less."""
    for dataset in params.datasets:
        for batch in read_batches(paths.scene_graphs(dataset), SCENE_GRAPHS):
            for row in batch.to_pylist():
                yield dataset, row["image_id"], *summarised(graph_from_row(row), params.llm.max_groups)
