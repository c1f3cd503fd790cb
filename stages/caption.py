"""`lempo caption`: graphs and modifications to captions of the images wanted (pseudo captions, PCG)."""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_batches, table_provenance
from pipeline.captions.brought import BroughtTexts
from pipeline.captions.rows import Row
from pipeline.captions.run import write_captions
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import CAPTION
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, SceneGraph, group_objects
from pipeline.graph.summary import summarised
from pipeline.graph.table import GraphTable
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/pseudo_captions/<dataset>.parquet` and `metrics/caption.json`: one row for every query.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing, or a query's edits do not fit its reference;
            raised before a model is loaded.
    """
    settings, expected = read_settings(CAPTION, params, paths), Expected(params, paths)
    datasets = [_Dataset(name, expected) for name in params.datasets]
    write_captions(_rows(datasets, settings), settings, paths, engine)


def _rows(datasets: list["_Dataset"], settings: Settings) -> Iterator[Row]:
    for dataset in datasets:
        brought = BroughtTexts(dataset.expected, dataset.name, "pseudo_caption")
        for query in dataset.queries():
            yield Row(
                dataset=dataset.name,
                id=query.id,
                messages=settings.messages(query.graph, modification=query.modification),
                graph=query.wanted,
                checker=dataset.checker,
                summarised=query.summarised,
                empty=not query.graph.groups and not (query.wanted and query.wanted.groups),
                brought=brought.of(query.id),
            )
        brought.finish()


class _Query(NamedTuple):
    """A query and its reference's graph, as the prompt states it; `summarised` if groups were left out.

    `wanted` is `graph` after the edits: what the pseudo caption must say; None where the query has no edits.
    """

    id: str
    modification: str
    graph: GroupGraph
    summarised: bool
    wanted: GroupGraph | None


class _Dataset:
    """The queries of a dataset, their references' graphs, and the checker of their pseudo captions."""

    def __init__(self, name: str, expected: Expected) -> None:
        self.name, self.expected = name, expected
        self._limits = (expected.params.llm.max_groups, expected.params.llm.max_relations)
        self._path, self._expect = expected.paths.pairs(name), expected.pairs(name)
        graphs = expected.paths.scene_graphs(name)
        table_provenance(graphs, SCENE_GRAPHS, expected.corpus(name))
        self._graphs = GraphTable(graphs)
        wanted = (query.wanted for query in self.queries() if query.wanted is not None)
        self.checker = Checker(vocabulary_of(chain(map(group_objects, self._graphs), wanted)))

    def queries(self) -> Iterator[_Query]:
        """Read every query.

        Raises:
            UserError: a reference has no graph, or the edits do not fit it.
        """
        for batch in read_batches(self._path, PAIRS, expect=self._expect):
            queries = batch.to_pylist()
            references = self._graphs.of([query["reference_id"] for query in queries])
            for query in queries:
                yield self._query(query, references)

    def _query(self, query: Mapping[str, Any], references: Mapping[str, SceneGraph]) -> _Query:
        reference = references.get(query["reference_id"])
        if reference is None:
            reason = "the query's reference has no scene graph"
            remedy, value = "Run the corpus stage again: it sets such queries aside", query["reference_id"]
            raise UserError(reason, remedy, file=self._path, field="reference_id", value=value)
        edits = edits_from_row(query["edits"])
        graph, is_summarised = summarised(reference, *self._limits, edits)
        try:
            wanted = None if edits is None else apply_edits(graph, edits)
        except ValueError as error:
            reason = "the edits do not fit the reference's scene graph"
            remedy = f"Correct the edits of query {query['query_id']}, or leave them out"
            raise UserError(reason, remedy, file=self._path, field="edits", value=error) from None
        return _Query(query["query_id"], query["modification"], graph, is_summarised, wanted)
