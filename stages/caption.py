"""`lempo caption`: graphs and modifications to captions of the images wanted (pseudo captions, PCG)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_batches, table_provenance
from pipeline.captions.brought import BroughtTexts
from pipeline.captions.parts import Part
from pipeline.captions.pictures import Pictures
from pipeline.captions.rows import Given, Row
from pipeline.captions.run import write_captions
from pipeline.captions.settings import Settings, read_settings
from pipeline.captions.stages import CAPTION
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, SceneGraph
from pipeline.graph.summary import Limits, summarised
from pipeline.graph.table import GraphTable, labels_of
from pipeline.llm.pictures import Picture
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/pseudo_captions/<dataset>.parquet` and `metrics/caption.json`: one row for every query.

    With `llm.images` the reference image stands beside its graph.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing, or a query's edits do not fit its reference;
            raised before a model is loaded.
    """
    settings, expected = read_settings(CAPTION, params, paths), Expected(params, paths)
    datasets = [_Dataset(name, settings, expected) for name in params.datasets]
    parts = (part for dataset in datasets for part in dataset.parts())
    write_captions(parts, settings, paths, engine)


class _Query(NamedTuple):
    """A query and its reference's graph, as the prompt states it; `summarised` if groups were left out.

    `wanted` is `graph` after the edits: what the pseudo caption must say; None where the query has no edits.
    `picture` is the reference image, if the model sees images.
    """

    id: str
    modification: str
    graph: GroupGraph
    summarised: bool
    wanted: GroupGraph | None
    picture: Picture | None


class _Dataset:
    """The queries of a dataset, their references' graphs, and the checker of their pseudo captions."""

    def __init__(self, name: str, settings: Settings, expected: Expected) -> None:
        self._name, self._settings, self._expected = name, settings, expected
        self._limits = Limits(settings.llm.max_groups, settings.llm.max_relations)
        self._file = expected.paths.pairs(name)
        graphs = expected.paths.scene_graphs(name)
        table_provenance(graphs, SCENE_GRAPHS, expected.corpus(name))
        self._graphs = GraphTable(graphs)
        self._pictures = Pictures(expected, name) if settings.llm.images else None
        queries = (query for batch in self._batches() for query in self._queries(batch))
        wanted = (query.wanted for query in queries if query.wanted is not None)
        self._checker = Checker(vocabulary_of(wanted, labels_of(read_batches(graphs, SCENE_GRAPHS))))

    def parts(self) -> Iterator[Part]:
        brought = BroughtTexts(self._expected, self._name, "pseudo_caption")
        for batch in self._batches():
            texts = brought.among(batch["query_id"].to_pylist())
            yield Part(self._name, partial(self._rows, batch, texts), batch.num_rows)
        brought.finish()

    def _rows(self, batch: pa.RecordBatch, texts: Mapping[str, str]) -> Iterator[Row]:
        for index, query in enumerate(self._queries(batch)):
            again = partial(self._again, batch, index)
            yield replace(self._row(query), brought=texts.get(query.id), again=again)

    def _row(self, query: _Query) -> Row:
        nothing_known = not query.graph.groups
        of_image_alone = nothing_known and query.picture is not None
        beside: Given = "graph" if query.picture is None else "graph and image"
        return Row(
            dataset=self._name,
            id=query.id,
            messages=self._settings.messages(query.graph, modification=query.modification),
            graph=None if of_image_alone else query.wanted,
            checker=self._checker,
            summarised=query.summarised,
            empty=nothing_known and not of_image_alone and not (query.wanted and query.wanted.groups),
            picture=query.picture,
            given="image" if of_image_alone else beside,
            shown=query.graph,
        )

    def _again(self, batch: pa.RecordBatch, index: int, limits: Limits) -> Row | None:
        """A row anew, None if its edits do not fit these limits. It is read again: few are asked for."""
        (query,) = batch.slice(index, 1).to_pylist()
        try:
            row = self._row(self._query(query, *self._references([query]), limits))
        except ValueError:
            return None
        return replace(row, again=partial(self._again, batch, index))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        return read_batches(self._file, PAIRS, expect=self._expected.pairs(self._name))

    def _queries(self, batch: pa.RecordBatch) -> Iterator[_Query]:
        """The queries of a batch.

        Raises:
            UserError: a reference has no graph, or the edits do not fit it.
        """
        queries = batch.to_pylist()
        graphs, pictures = self._references(queries)
        for query in queries:
            try:
                yield self._query(query, graphs, pictures, self._limits)
            except ValueError as error:
                reason = "the edits do not fit the reference's scene graph"
                remedy = f"Correct the edits of query {query['query_id']}, or leave them out"
                raise UserError(reason, remedy, file=self._file, field="edits", value=error) from None

    def _references(
        self, queries: Sequence[Mapping[str, Any]]
    ) -> tuple[dict[str, SceneGraph], dict[str, Picture]]:
        """The graphs and, where the model sees images, the pictures of the references of some queries."""
        ids = [query["reference_id"] for query in queries]
        return self._graphs.of(ids), {} if self._pictures is None else self._pictures.of(ids)

    def _query(
        self,
        query: Mapping[str, Any],
        graphs: Mapping[str, SceneGraph],
        pictures: Mapping[str, Picture],
        limits: Limits,
    ) -> _Query:
        """A query whose prompt keeps limits.

        Raises:
            UserError: its reference has no graph.
            ValueError: its edits do not fit the reference's graph.
        """
        reference = graphs.get(query["reference_id"])
        if reference is None:
            reason = "the query's reference has no scene graph"
            remedy, value = "Run the corpus stage again: it sets such queries aside", query["reference_id"]
            raise UserError(reason, remedy, file=self._file, field="reference_id", value=value)
        edits = edits_from_row(query["edits"])
        graph, is_summarised = summarised(reference, *limits, edits)
        wanted = None if edits is None else apply_edits(graph, edits)
        picture = pictures.get(query["reference_id"])
        return _Query(query["query_id"], query["modification"], graph, is_summarised, wanted, picture)
