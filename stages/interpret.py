"""`lempo interpret`: scene graphs to captions of the images (scene graph interpretation, SGI)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

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
from pipeline.graph.scene_graph import graph_from_row
from pipeline.graph.summary import Limits, summarised
from pipeline.llm.types import Engine


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/interpretations/<dataset>.parquet` and `metrics/interpret.json`: one row for every graph.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: the prompt, the model or a table is missing; raised before a model is loaded.
    """
    settings, expected = read_settings(INTERPRET, params, paths), Expected(params, paths)
    datasets = [_Dataset(name, settings, expected) for name in params.datasets]
    rows = (row for dataset in datasets for row in dataset.rows())
    write_captions(rows, settings, paths, engine)


class _Dataset:
    """The graphs of a dataset, and the checker of their interpretations."""

    def __init__(self, name: str, settings: Settings, expected: Expected) -> None:
        self._name, self._settings, self._expected = name, settings, expected
        self._limits = Limits(settings.llm.max_groups, settings.llm.max_relations)
        graphs = (summarised(graph_from_row(row), *self._limits)[0] for _, _, row in self._graphs())
        self._checker = Checker(vocabulary_of(graphs))

    def rows(self) -> Iterator[Row]:
        brought = BroughtTexts(self._expected, self._name, "interpretation")
        for batch, index, row in self._graphs():
            again = partial(self._again, batch, index)
            yield replace(self._row(row, self._limits), brought=brought.of(row["image_id"]), again=again)
        brought.finish()

    def _graphs(self) -> Iterator[tuple[pa.RecordBatch, int, dict[str, Any]]]:
        """Every row of the table, and where it stands."""
        file = self._expected.paths.scene_graphs(self._name)
        for batch in read_batches(file, SCENE_GRAPHS, expect=self._expected.corpus(self._name)):
            for index, row in enumerate(batch.to_pylist()):
                yield batch, index, row

    def _row(self, row: dict[str, Any], limits: Limits) -> Row:
        graph, is_summarised = summarised(graph_from_row(row), *limits)
        return Row(
            dataset=self._name,
            id=row["image_id"],
            messages=self._settings.messages(graph),
            graph=graph,
            checker=self._checker,
            summarised=is_summarised,
            empty=not graph.groups,
            shown=graph,
        )

    def _again(self, batch: pa.RecordBatch, index: int, limits: Limits) -> Row:
        """A row anew. It is read again: few are asked for, and all would fill the memory."""
        (row,) = batch.slice(index, 1).to_pylist()
        return replace(self._row(row, limits), again=partial(self._again, batch, index))
