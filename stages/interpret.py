"""`lempo interpret`: scene graphs to captions of the images (scene graph interpretation, SGI)."""

from collections.abc import Callable

from pipeline.contracts import INTERPRETATIONS, SCENE_GRAPHS, read_table
from pipeline.faithfulness import vocabulary_of
from pipeline.graph_summary import summarised
from pipeline.language import Row
from pipeline.language_stage import prepare, run_rows
from pipeline.llm.types import Engine
from pipeline.params import Params
from pipeline.paths import Paths
from pipeline.scene_graph import graph_from_row, serialise


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/interpretations/<dataset>.parquet` and `metrics/interpret.json`: one row for every graph.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing; said before a model is loaded.
    """
    template, settings = prepare("interpret", params.interpret, ("graph",), params, paths)
    rows = []
    for dataset in params.datasets:
        table = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
        graphs = [summarised(graph_from_row(row), params.llm.max_groups) for row in table]
        vocabulary = vocabulary_of([graph for graph, _ in graphs])
        rows += [
            Row(
                dataset,
                row["image_id"],
                template.render(graph=serialise(graph)),
                graph,
                vocabulary,
                summarised=less,
                empty=not graph.groups,
            )
            for row, (graph, less) in zip(table, graphs, strict=True)
        ]
    run_rows(
        rows,
        settings,
        params,
        paths,
        id_column="image_id",
        schema=INTERPRETATIONS,
        table_path=paths.interpretations,
        engine=engine,
    )
