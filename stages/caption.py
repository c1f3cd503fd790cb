"""`lempo caption`: graphs and modifications to captions of the images wanted (pseudo captions, PCG)."""

from collections.abc import Callable

from pipeline.contracts import PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS, read_table
from pipeline.errors import UserError
from pipeline.faithfulness import vocabulary_of
from pipeline.language import Row
from pipeline.language_stage import prepare, run_rows
from pipeline.llm.types import Engine
from pipeline.params import Params
from pipeline.paths import Paths
from pipeline.scene_graph import (
    GroupGraph,
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
        wanted = [wanted_graph(query, graphs, paths, dataset) for query in queries]
        vocabulary = vocabulary_of([*graphs.values(), *(graph for graph in wanted if graph is not None)])
        said = {image_id: serialise(graph) for image_id, graph in graphs.items()}
        rows += [
            Row(
                dataset,
                query["query_id"],
                template.render(graph=said[query["reference_id"]], modification=query["modification"]),
                graph,
                vocabulary,
            )
            for query, graph in zip(queries, wanted, strict=True)
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


def read_graphs(paths: Paths, dataset: str) -> dict[str, GroupGraph]:
    """The grouped scene graph of every image of a dataset."""
    table = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in table}


def wanted_graph(query: dict, graphs: dict[str, GroupGraph], paths: Paths, dataset: str) -> GroupGraph | None:
    """The graph that a query's pseudo caption must say: the reference's with the edits made, or None.

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
    if edits is None:
        return None
    try:
        return apply_edits(reference, edits)
    except ValueError as error:
        raise UserError(
            "the edits do not fit the reference's scene graph",
            f"Correct the edits of query {query['query_id']}, or leave them out",
            file=paths.queries(dataset),
            field="edits",
            value=error,
        ) from None
