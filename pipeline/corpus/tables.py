"""What a corpus reader hands over: tables, and every row that was set aside."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.base.errors import Problem
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.corpus.checks import Rejected, printable

_BLOCK = 8192


class Rows:
    """Rows gathered into an Arrow table block by block: few of them are Python objects at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._blocks: list[pa.Table] = []
        self._rows: list[dict[str, Any]] = []

    def append(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == _BLOCK:
            self._flush()

    def _flush(self) -> None:
        self._blocks.append(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows = []

    def table(self) -> pa.Table:
        """All rows so far."""
        self._flush()
        self._blocks = [pa.concat_tables(self._blocks)]
        return self._blocks[0]


@dataclass
class Rejects:
    """Rows set aside, in the shape of `rejects.parquet` (without the dataset), and the rows of each table."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, table: str, file: str, row: int | None, record_id: object, error: Rejected) -> None:
        """Set a row aside."""
        self.rows.append(
            {
                "table": table,
                "file": printable(file, limit=4096),
                "row": row,
                "record_id": None if record_id is None else printable(record_id),
                "field": error.field,
                "value": error.value,
                "reason": error.reason,
                "remedy": error.remedy,
            }
        )

    def of(self, table: str) -> list[Problem]:
        """The problems of one table, in the order found."""
        return [
            Problem(row["reason"], row["remedy"], row["file"], row["row"], row["field"], row["value"])
            for row in self.rows
            if row["table"] == table
        ]


@dataclass(frozen=True)
class Corpus:
    """The three tables of a dataset, what was rejected, and counts worth knowing.

    `counts` holds `split_assumed` (images whose split nothing says), `answers_removed` (further right answers
    that are no longer in the gallery) and `ignored_files` (files beside the images that are none).
    """

    images: pa.Table
    scene_graphs: pa.Table
    queries: pa.Table
    rejects: Rejects
    counts: dict[str, int]

    def __post_init__(self) -> None:
        for table, schema in (
            (self.images, IMAGES),
            (self.scene_graphs, SCENE_GRAPHS),
            (self.queries, QUERIES),
        ):
            assert table.schema.names == schema.names
