"""`lempo caption`: graphs and modifications to captions of the images wanted (pseudo captions, PCG)."""

from collections.abc import Callable

from pipeline.contracts import PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS, read_table
from pipeline.errors import UserError
from pipeline.faithfulness import vocabulary_of
from pipeline.graph_summary import summarised
from pipeline.language import Row
from pipeline.language_stage import prepare, run_rows
from pipeline.llm.types import Engine
from pipeline.params import Params
from pipeline.paths import Paths
from pipeline.scene_graph import (
    GroupGraph,
    SceneGraph,
    apply_edits,
    edits_from_row,
    graph_from_row,
    group_objects,
    serialise,
)


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/pseudo_captions/<dataset>.parquet` and `metrics/caption.json`: one row for every query.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing, or a query's edits do not fit its reference;
            said before a model is loaded.
    """
    template, settings = prepare("caption", params.caption, ("graph", "modification"), params, paths)
    rows = []
    for dataset in params.datasets:
        graphs = read_graphs(paths, dataset)
        queries = read_table(paths.queries(dataset), QUERIES).to_pylist()
        asked = [_asked(query, graphs, params.llm.max_groups, paths, dataset) for query in queries]
        vocabulary = vocabulary_of(
            [
                *map(group_objects, graphs.values()),
                *(wanted for _, wanted, _ in asked if wanted is not None),
            ]
        )
        rows += [
            Row(
                dataset,
                query["query_id"],
                template.render(graph=serialise(graph), modification=query["modification"]),
                wanted,
                vocabulary,
                summarised=less,
                empty=not graph.groups and not (wanted and wanted.groups),
            )
            for query, (graph, wanted, less) in zip(queries, asked, strict=True)
        ]
    run_rows(
        rows,
        settings,
        params,
        paths,
        id_column="query_id",
        schema=PSEUDO_CAPTIONS,
        table_path=paths.pseudo_captions,
        engine=engine,
    )


def read_graphs(paths: Paths, dataset: str) -> dict[str, SceneGraph]:
    """The scene graph of every image of a dataset."""
    table = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
    return {row["image_id"]: graph_from_row(row) for row in table}


def _asked(
    query: dict, graphs: dict[str, SceneGraph], most_groups: int, paths: Paths, dataset: str
) -> tuple[GroupGraph, GroupGraph | None, bool]:
    """What the prompt says of a query's reference, what its pseudo caption must say, and if that is less.

    It must say what the prompt says, with the edits made; None where the query has no edits.

    Raises:
        UserError: the reference has no graph, or the edits do not fit it.
    """
    reference = graphs.get(query["reference_id"])
    if reference is None:
        raise UserError(
            "the query's reference has no scene graph",
            "Run the corpus stage again: it sets such queries aside",
            file=paths.queries(dataset),
            field="reference_id",
            value=query["reference_id"],
        )
    edits = edits_from_row(query["edits"])
    graph, less = summarised(reference, most_groups, edits)
    if edits is None:
        return graph, None, less
    try:
        return graph, apply_edits(graph, edits), less
    except ValueError as error:
        raise UserError(
            "the edits do not fit the reference's scene graph",
            f"Correct the edits of query {query['query_id']}, or leave them out",
            file=paths.queries(dataset),
            field="edits",
            value=error,
        ) from None
