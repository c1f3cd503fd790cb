"""Scene graphs of a dataset by image id, and their labels, without a Python object for each of them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import READ_ROWS, read_table
from pipeline.graph.scene_graph import SceneGraph, graph_from_row, split_quantity

KEPT_GRAPHS = 4 * READ_ROWS
_FEW = 64  # ids that are looked up one by one, as the table is sorted: more need an index of all its ids

_BETWEEN = "\x1f"  # two attributes of an object, where they are one value


@dataclass(frozen=True)
class Labels:
    """Every label that the groups of some graphs use, as the graphs write it."""

    names: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    predicates: frozenset[str] = frozenset()
    scenes: frozenset[str] = frozenset()


def labels_of(batches: Iterable[pa.RecordBatch]) -> Labels:
    """The labels of the graphs in batches of the scene graph table, with no Python object for a graph."""
    found: dict[str, set[str]] = {"names": set(), "attributes": set(), "predicates": set(), "scenes": set()}
    for batch in batches:
        objects, relations = batch["objects"].flatten(), batch["relationships"].flatten()
        found["scenes"] |= _distinct(batch["scene"])
        found["names"] |= _distinct(objects.field("name"))
        found["predicates"] |= _distinct(relations.field("predicate"))
        for together in _distinct(pc.binary_join(objects.field("attributes"), _BETWEEN)):
            found["attributes"] |= set(split_quantity(together.split(_BETWEEN))[1])
    return Labels(**{kind: frozenset(labels - {""}) for kind, labels in found.items()})


def _distinct(labels: pa.Array) -> set[Any]:
    return set(labels.unique().drop_null().to_pylist())


class GraphTable:
    """The scene graph table in Arrow's memory; only the latest graphs built from it are kept.

    Raises:
        UserError: the table is missing or does not fit the schema.
    """

    def __init__(self, path: Path) -> None:
        self._table = read_table(path, SCENE_GRAPHS).combine_chunks()  # once, not in each `take`
        self._built: dict[str, SceneGraph] = {}

    def __iter__(self) -> Iterator[SceneGraph]:
        for batch in self._table.select(["image_id"]).to_batches(READ_ROWS):
            yield from self.of(batch["image_id"].to_pylist()).values()

    def of(self, ids: Sequence[str]) -> dict[str, SceneGraph]:
        """The graphs of some images, a few thousand at most at a time; ids without a graph are absent."""
        wanted = dict.fromkeys(ids)
        if len(self._built.keys() | wanted.keys()) > KEPT_GRAPHS:
            self._built.clear()
        if missing := [image_id for image_id in wanted if image_id not in self._built]:
            for row in self._table.take(self._rows(missing)).to_pylist():
                self._built[row["image_id"]] = graph_from_row(row)
        return {image_id: self._built[image_id] for image_id in wanted if image_id in self._built}

    def _rows(self, ids: Sequence[str]) -> pa.Array:
        """The rows of those of the ids that the table has."""
        known = self._table["image_id"]
        if len(ids) > _FEW:
            return pc.index_in(pa.array(ids, pa.string()), value_set=known).drop_null()
        rows = [
            bisect_left(range(len(known)), image_id, key=lambda row: known[row].as_py()) for image_id in ids
        ]
        found = [
            row
            for row, image_id in zip(rows, ids, strict=True)
            if row < len(known) and known[row].as_py() == image_id
        ]
        return pa.array(found, pa.int64())
