"""The only way tables are read and written.

Rows are sorted by their keys and carry no timestamps, so the same rows give the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import UserError, reading
from pipeline.base.files import replacing
from pipeline.base.schemas import REJECTS

ROW_GROUP_ROWS = 16_384
READ_ROWS = 4_096  # in one batch, where a table is read in batches
_STALE = "It was written by another version or damaged: delete it and run `dvc repro`"


class TableWriter:
    """Writes a table in blocks of rows; `open_table` gives one."""

    def __init__(self, path: Path, schema: pa.Schema, file: pq.ParquetWriter) -> None:
        self._path, self._schema, self._file = path, schema, file
        self._pending = file.schema.empty_table()  # rows that do not fill a row group yet
        self._last_key: tuple | None = None
        self._empty = True

    def write(self, rows: pa.Table | list[dict]) -> None:
        """Add rows in any order; their keys must come after those of all earlier blocks.

        Raises:
            ValueError: a key stands twice or comes late, a required value is null, or a type does not fit.
        """
        table = pa.Table.from_pylist(rows, schema=self._schema) if isinstance(rows, list) else rows
        if not table.num_rows:
            return
        keys = _keys(self._schema)
        table = table.select(self._schema.names).cast(self._schema).replace_schema_metadata(None)
        table = table.sort_by([(key, "ascending") for key in keys])
        self._check(table, keys)
        first, last = (tuple(table[key][row].as_py() for key in keys) for row in (0, -1))
        if self._last_key is not None and first <= self._last_key:
            raise ValueError(f"{self._path}: {keys} {first} comes after {self._last_key}")
        self._last_key = last
        self._pending = pa.concat_tables([self._pending, table])
        while self._pending.num_rows >= ROW_GROUP_ROWS:
            self._write_group(self._pending.slice(0, ROW_GROUP_ROWS))
            self._pending = self._pending.slice(ROW_GROUP_ROWS)

    def finish(self) -> None:
        """Write the rows that are left; a table without rows has one empty row group."""
        if self._pending.num_rows or self._empty:
            self._write_group(self._pending)

    def _write_group(self, group: pa.Table) -> None:
        # pages end where chunks end: without this, the bytes would depend on the blocks
        self._file.write_table(group.combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        self._empty = False

    def _check(self, table: pa.Table, keys: list[str]) -> None:
        for field in self._schema:
            if not field.nullable and table[field.name].null_count:
                raise ValueError(f"{self._path}: column '{field.name}' must not be null")
        if self._schema is not REJECTS and table.group_by(keys).aggregate([]).num_rows != table.num_rows:
            raise ValueError(f"{self._path}: a value of {keys} stands twice")


@contextmanager
def open_table(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Write a table that need not fit into memory: the same rows give the bytes that `write_table` gives.

    The file appears, whole, when the `with` block ends without an error.
    """
    bare = schema.remove_metadata()
    with replacing(path) as temporary, pq.ParquetWriter(temporary, bare, compression="zstd") as file:
        writer = TableWriter(path, schema, file)
        yield writer
        writer.finish()


def write_table(rows: pa.Table | list[dict], path: Path, schema: pa.Schema) -> None:
    """Write rows sorted by the schema's keys; the same rows give the same bytes.

    Raises:
        ValueError: a key stands twice, a required value is null, or a type does not fit.
    """
    with open_table(path, schema) as table:
        table.write(rows)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a table, and refuse one with other columns than the schema's.

    Raises:
        UserError: the file is missing, is not Parquet, or has other columns or types.
    """
    with _reading(path, schema):
        return pq.read_table(path, columns=columns or schema.names)


def read_batches(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Read a table a few rows at a time.

    Args:
        columns: the keys among them; by default all of the schema's.

    Raises:
        UserError: as `read_table`, or the rows are not in the order of their keys.
    """
    keys = _keys(schema)
    last: tuple | None = None
    with _reading(path, schema), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(READ_ROWS, columns=list(columns or schema.names)):
            for key in zip(*(batch.column(name).to_pylist() for name in keys), strict=True):
                if last is not None and key <= last:
                    problem = "stand twice" if key == last else "are not in their order"
                    raise UserError(f"keys {problem}", _STALE, file=path, field=",".join(keys), value=key)
                last = key
            yield batch


@contextmanager
def _reading(path: Path, schema: pa.Schema) -> Iterator[None]:
    """Raise a `UserError` for a file that is not a table of this schema, before and while it is read."""
    if not path.is_file():
        raise UserError("the table is missing", "Run `dvc repro`, or `dvc pull`", file=path)
    with reading(path, _STALE, "the file is not readable as Parquet"):
        stored = pq.read_schema(path)
        for field in schema:
            if field.name not in stored.names:
                raise UserError("a column is missing", _STALE, file=path, field=field.name)
            kind = stored.field(field.name).type
            if not kind.equals(field.type):
                reason = f"the column's type is not {field.type}"
                raise UserError(reason, _STALE, file=path, field=field.name, value=kind)
        yield


def _keys(schema: pa.Schema) -> list[str]:
    return schema.metadata[b"keys"].decode().split(",")
