"""The only way tables are read and written.

Rows are sorted by their keys and carry no timestamps, so the same inputs give the same bytes.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import UserError
from pipeline.base.files import replacing
from pipeline.base.schemas import REJECTS

ROW_GROUP_ROWS = 16_384
READ_ROWS = 4_096  # at a time, where a table is not read whole


class TableWriter:
    """Writes a table in blocks of rows; `open_table` makes one."""

    def __init__(self, path: Path, schema: pa.Schema, stack: ExitStack) -> None:
        self._path, self._schema, self._stack = path, schema, stack
        self._waiting: pa.Table = _bare(schema.empty_table(), schema)  # too few rows for a row group
        self._file: pq.ParquetWriter | None = None
        self._last: tuple | None = None

    def write(self, rows: pa.Table | list[dict]) -> None:
        """Add rows in any order, whose keys all come after those of the blocks before.

        Raises:
            ValueError: a key stands twice or comes late, a required value is null, or a type does not fit.
        """
        table = pa.Table.from_pylist(rows, schema=self._schema) if isinstance(rows, list) else rows
        if not table.num_rows:
            return
        keys = _keys(self._schema)
        table = _bare(table, self._schema).sort_by([(key, "ascending") for key in keys])
        _check(table, self._schema, str(self._path))
        first, last = (_key(table, keys, row) for row in (0, table.num_rows - 1))
        if self._last is not None and first <= self._last:
            raise ValueError(f"{self._path}: {keys} {first} comes after {self._last}")
        self._last = last
        table = pa.concat_tables([self._waiting, table])
        whole = table.num_rows // ROW_GROUP_ROWS * ROW_GROUP_ROWS
        for start in range(0, whole, ROW_GROUP_ROWS):
            self._put(table.slice(start, ROW_GROUP_ROWS))
        self._waiting = table.slice(whole)

    def finish(self) -> None:
        """Write the rows left; a table without rows is a table too."""
        if self._waiting.num_rows or self._file is None:
            self._put(self._waiting)

    def _put(self, group: pa.Table) -> None:
        if self._file is None:
            temporary = self._stack.enter_context(replacing(self._path))
            self._file = self._stack.enter_context(
                pq.ParquetWriter(temporary, group.schema, compression="zstd")
            )
        # chunks would cut the pages elsewhere, and the bytes would tell how the rows came
        self._file.write_table(group.combine_chunks(), row_group_size=ROW_GROUP_ROWS)


@contextmanager
def open_table(path: Path, schema: pa.Schema) -> Iterator[TableWriter]:
    """Write a table that need not fit into memory: the same rows give the bytes that `write_table` gives.

    The file appears, whole, when the `with` block ends without an error.
    """
    with ExitStack() as stack:
        writer = TableWriter(path, schema, stack)
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
    """Read a table, refusing one whose columns are not the schema's.

    Raises:
        UserError: the file is missing, is no Parquet, or has other columns or types.
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
    """Refuse what is not the schema's table, before anything is read of it and while it is read."""
    if not path.is_file():
        raise UserError("the table is missing", "Run `dvc repro`, or `dvc pull`", file=path)
    try:
        found = pq.read_schema(path)
        for field in schema:
            if field.name not in found.names:
                raise UserError("a column is missing", _STALE, file=path, field=field.name)
            if not found.field(field.name).type.equals(field.type):
                raise UserError(
                    f"the column's type is not {field.type}",
                    _STALE,
                    file=path,
                    field=field.name,
                    value=found.field(field.name).type,
                )
        yield
    except pa.ArrowInvalid as error:
        raise UserError("the file is not readable as Parquet", _STALE, file=path, value=error) from None


_STALE = "It was written by another version or damaged: delete it and run `dvc repro`"


def _keys(schema: pa.Schema) -> list[str]:
    return schema.metadata[b"keys"].decode().split(",")


def _key(table: pa.Table, keys: Sequence[str], row: int) -> tuple:
    return tuple(table.column(key)[row].as_py() for key in keys)


def _bare(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The schema's columns and types, without its metadata."""
    return table.select(schema.names).cast(schema).replace_schema_metadata(None)


def _check(table: pa.Table, schema: pa.Schema, name: str) -> None:
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise ValueError(f"{name}: column '{field.name}' must not be null")
    keys = _keys(schema)
    if schema is not REJECTS and table.num_rows != table.group_by(keys).aggregate([]).num_rows:
        raise ValueError(f"{name}: a value of {keys} stands twice")
