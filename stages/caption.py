"""`lempo caption`: graphs and modifications to captions of the images wanted (pseudo captions, PCG)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PSEUDO_CAPTIONS, QUERIES
from pipeline.base.tables import read_batches
from pipeline.captions.rows import Row
from pipeline.captions.run import Repeatable, prepare, run_rows
from pipeline.faithfulness.check import vocabulary_of
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, SceneGraph, group_objects, serialise
from pipeline.graph.summary import summarised
from pipeline.graph.table import GraphTable
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/pseudo_captions/<dataset>.parquet` and `metrics/caption.json`: one row for every query.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing, or a query's edits do not fit its reference;
            said before a model is loaded.
    """
    template, settings = prepare("caption", params.caption, ("graph", "modification"), params, paths)
    tables = {dataset: GraphTable(paths.scene_graphs(dataset)) for dataset in params.datasets}
    source = Repeatable(lambda: _asked(tables, params, paths))
    vocabularies = {
        dataset: vocabulary_of(
            chain(
                map(group_objects, tables[dataset]),
                (asked.wanted for asked in part if asked.wanted is not None),
            )
        )
        for dataset, part in groupby(source, key=lambda asked: asked.dataset)
    }
    rows = (
        Row(
            asked.dataset,
            asked.query_id,
            template.render(graph=serialise(asked.graph), modification=asked.modification),
            asked.wanted,
            vocabularies[asked.dataset],
            summarised=asked.less,
            empty=not asked.graph.groups and not (asked.wanted and asked.wanted.groups),
        )
        for asked in source
    )
    run_rows(
        rows,
        source.count,
        settings,
        params,
        paths,
        id_column="query_id",
        schema=PSEUDO_CAPTIONS,
        table_path=paths.pseudo_captions,
        engine=engine,
    )


class _Asked(NamedTuple):
    """A query: what the prompt says of its reference, what its pseudo caption must say, and if that is less.

    It must say what the prompt says, with the edits made; None where the query has no edits.
    """

    dataset: str
    query_id: str
    modification: str
    graph: GroupGraph
    wanted: GroupGraph | None
    less: bool


def _asked(tables: Mapping[str, GraphTable], params: Params, paths: Paths) -> Iterator[_Asked]:
    """Every query of every dataset.

    Raises:
        UserError: a reference has no graph, or the edits do not fit it.
    """
    for dataset, graphs in tables.items():
        path = paths.queries(dataset)
        for batch in read_batches(path, QUERIES):
            queries = batch.to_pylist()
            references = graphs.of([query["reference_id"] for query in queries])
            for query in queries:
                wanted = _wanted(query, references, params.llm.max_groups, path)
                yield _Asked(dataset, query["query_id"], query["modification"], *wanted)


def _wanted(
    query: Mapping[str, Any], references: Mapping[str, SceneGraph], most_groups: int, path: Path
) -> tuple[GroupGraph, GroupGraph | None, bool]:
    reference = references.get(query["reference_id"])
    if reference is None:
        raise UserError(
            "the query's reference has no scene graph",
            "Run the corpus stage again: it sets such queries aside",
            file=path,
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
            file=path,
            field="edits",
            value=error,
        ) from None
