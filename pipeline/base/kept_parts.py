"""Parts of tables that earlier runs made: a file for each, named by all that its rows depend on.

A part that is made from the same again is read instead. Parts are cut where the ids of their rows say so, not
after so many rows: a row more or less changes one of them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.files import identity_hash, set_aside
from pipeline.base.storage import is_damaged, remove_unused, use
from pipeline.base.tables import read_table, table_provenance, write_table

PART_ROWS = 1_024  # on average
MOST_ROWS = 4 * PART_ROWS


def ends_part(id: str, rows: int) -> bool:
    """Whether the row of an id is the last one of its part, which then has so many rows."""
    return crc32(id.encode()) % PART_ROWS == 0 or rows >= MOST_ROWS


class KeptParts:
    """The parts of a table that were kept.

    Attributes:
        folder: holds them, and those of other tables.
        damaged: files that were set aside.

    Args:
        schema: of the rows.
        settings: what all parts depend on: JSON values.
    """

    def __init__(self, folder: Path, schema: pa.Schema, settings: Mapping[str, Any]) -> None:
        self.folder, self._schema, self._settings = folder, schema, dict(settings)
        self.damaged = 0

    def find(self, dataset: str, content: str) -> tuple[pa.Table, Mapping[str, Any]] | None:
        """The rows of a part, and what was said of them; None where they are not kept, or damaged.

        Args:
            dataset: its name.
            content: a hash of all else that the rows are made from.
        """
        if not os.path.lexists(file := self._file(dataset, content)):
            return None
        try:
            record = table_provenance(file, self._schema, {"part": file.stem}).made_from
            rows = read_table(file, self._schema)
            said = record["said"]
        except (UserError, KeyError):
            self.set_aside(dataset, content)
            return None
        use(file)
        return rows, said

    def keep(self, dataset: str, content: str, rows: pa.Table, said: Mapping[str, Any]) -> None:
        """Keep the rows of a part for later runs, with JSON values that say more of them."""
        file = self._file(dataset, content)
        write_table(rows, file, self._schema, {"dataset": dataset, "part": file.stem, "said": dict(said)})

    def set_aside(self, dataset: str, content: str) -> None:
        """Leave out a part that cannot be used, unless the machine is to blame."""
        if is_damaged(file := self._file(dataset, content)):
            self.damaged += 1
            set_aside(file)

    def remove_unused(self) -> None:
        """Delete what no run has used for a month."""
        remove_unused(self.folder)

    def _file(self, dataset: str, content: str) -> Path:
        return self.folder / f"{identity_hash({**self._settings, 'part': [dataset, content]})}.parquet"
