"""The only way tables are read and written.

Rows are sorted by their keys and carry no timestamps, so the same rows give the same bytes. Each file says in
its metadata what it holds and what it was made from, with a hash of the rows of each column
(`pipeline/base/provenance.py`). A reader checks the hashes of the columns that it reads.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.base.errors import UserError, reading
from pipeline.base.files import replacing
from pipeline.base.provenance import KEY, Provenance, RowHashes, plain, remedy
from pipeline.base.schemas import DATASET, REJECTS

ROW_GROUP_ROWS = 16_384
READ_ROWS = 4_096  # in one batch, where a table is read in batches
_STALE = "It was written by another version or damaged: delete it and run `dvc repro`"


class TableWriter:
    """Writes a table in blocks of rows; `open_table` gives one."""

    def __init__(
        self, path: Path, schema: pa.Schema, file: pq.ParquetWriter, made_from: Mapping[str, Any]
    ) -> None:
        self._path, self._schema, self._file, self._made_from = path, schema, file, made_from
        self._pending = file.schema.empty_table()  # rows that do not fill a row group yet
        self._last_key: tuple | None = None
        self._hashes = RowHashes()

    def write(self, rows: pa.Table | list[dict]) -> None:
        """Add rows in any order; their keys must come after those of all earlier blocks.

        Raises:
            ValueError: a key stands twice or comes late, a required value is null, or a type does not fit.
        """
        table = as_table(rows, self._schema, self._made_from.get("dataset"))
        if not table.num_rows:
            return
        keys = _keys(self._schema)
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
        """Write the rows that are left, and what the table is.

        A table without rows has no row group: libraries stumble over an empty one.
        """
        if self._pending.num_rows:
            self._write_group(self._pending)
        self._hashes.add(self._file.schema.empty_table())  # names the columns, also where no row came
        record = Provenance(_kind(self._schema), plain(self._made_from), self._hashes.columns())
        self._file.add_key_value_metadata({KEY: record.to_json()})

    def _write_group(self, group: pa.Table) -> None:
        # pages end where chunks end: without this, the bytes would depend on the blocks
        group = group.combine_chunks()
        self._hashes.add(group)
        self._file.write_table(group, row_group_size=ROW_GROUP_ROWS)

    def _check(self, table: pa.Table, keys: list[str]) -> None:
        for field in self._schema:
            if not field.nullable and table[field.name].null_count:
                raise ValueError(f"{self._path}: column '{field.name}' must not be null")
        if self._schema is not REJECTS and not _distinct(table, keys):
            raise ValueError(f"{self._path}: a value of {keys} stands twice")


def as_table(rows: pa.Table | list[dict], schema: pa.Schema, dataset: str | None = None) -> pa.Table:
    """Rows as `write_table` writes them: the schema's columns and types, sorted by its keys.

    Args:
        dataset: of all rows, whether they name it or not; None where every row names its own.

    Raises:
        ValueError: a type does not fit.
    """
    table = pa.Table.from_pylist(rows, schema=schema) if isinstance(rows, list) else rows
    if dataset is not None:
        others = table.drop_columns(DATASET) if DATASET in table.column_names else table
        table = others.append_column(DATASET, pa.repeat(pa.scalar(dataset), len(table)))
    table = table.select(schema.names).cast(schema).replace_schema_metadata(None)
    keys = _keys(schema)
    if len(keys) == 1 and _follows(pc.less_equal, table[keys[0]]):
        return table  # sorting would copy it
    return table.sort_by([(key, "ascending") for key in keys])


def _distinct(table: pa.Table, keys: list[str]) -> bool:
    """Whether no two rows of a sorted table have the same keys."""
    if len(keys) == 1:
        return _follows(pc.less, table[keys[0]])
    return table.group_by(keys).aggregate([]).num_rows == table.num_rows


def _follows(compare: Callable[[pa.ChunkedArray, pa.ChunkedArray], Any], values: pa.ChunkedArray) -> bool:
    """Whether each value and the next one compare so; there is no null."""
    found = compare(values.slice(0, max(0, len(values) - 1)), values.slice(1))
    return bool(pc.all(found, min_count=0).as_py())


def content_hash(table: pa.Table) -> str:
    """The hash that a file of a table has once `write_table` has written it: `Provenance.hash`.

    Args:
        table: as `as_table` gives it.
    """
    hashes = RowHashes()
    hashes.add(table)
    return Provenance("", {}, hashes.columns()).hash


@contextmanager
def open_table(
    path: Path, schema: pa.Schema, made_from: Mapping[str, Any] | None = None
) -> Iterator[TableWriter]:
    """Write a table that need not fit into memory: the same rows give the bytes that `write_table` gives.

    The file appears, whole, when the `with` block ends without an error.

    Args:
        made_from: as `Provenance.made_from`; a `dataset` in it is the one of every row.
    """
    bare = schema.remove_metadata()
    options = {"compression": "zstd", "write_page_checksum": True}
    with replacing(path) as temporary, pq.ParquetWriter(temporary, bare, **options) as file:
        writer = TableWriter(path, schema, file, made_from or {})
        yield writer
        writer.finish()


def write_table(
    rows: pa.Table | list[dict], path: Path, schema: pa.Schema, made_from: Mapping[str, Any] | None = None
) -> None:
    """Write rows sorted by the schema's keys; the same rows give the same bytes.

    Args:
        made_from: as for `open_table`.

    Raises:
        ValueError: a key stands twice, a required value is null, or a type does not fit.
    """
    with open_table(path, schema, made_from) as table:
        table.write(rows)


def value_counts(values: pa.ChunkedArray) -> dict[str, int]:
    """How often each value stands in a column of texts, in the order in which they first appear; no nulls."""
    import polars as pl

    column = pl.DataFrame({"value": values}).drop_nulls()
    return dict(column.group_by("value", maintain_order=True).len().iter_rows())


def table_provenance(path: Path, schema: pa.Schema, expect: Mapping[str, Any] | None = None) -> Provenance:
    """What a table says of itself; no row is read.

    Args:
        expect: what it must be made from: some names of `Provenance.made_from`.

    Raises:
        UserError: the file is no table of this schema, says nothing, or is made from anything else.
    """
    with _reading(path, schema):
        return _provenance(path, schema, expect)


def read_table(
    path: Path,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    expect: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Read a table whose rows are those that were written.

    Args:
        columns: by default all of the schema's.
        expect: what it must be made from: some names of `Provenance.made_from`.

    Raises:
        UserError: the file is missing, is not Parquet, has other columns or types, is made from anything else
            than what is expected, or its rows have changed.
    """
    with _reading(path, schema):
        record = _provenance(path, schema, expect)
        table = pq.read_table(path, columns=list(columns or schema.names), page_checksum_verification=True)
        table = table.replace_schema_metadata(None)
        hashes = RowHashes()
        hashes.add(table)
    record.expect_content(hashes.columns(), file=path, stage=_stage(schema))
    return table


def read_batches(
    path: Path,
    schema: pa.Schema,
    columns: Sequence[str] | None = None,
    expect: Mapping[str, Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read a table a few rows at a time, in the order of their keys.

    It is read twice: no row is given before the hashes of all rows are known to be right.

    Args:
        columns, expect: as for `read_table`.

    Raises:
        UserError: as `read_table`.
    """
    names = list(columns or schema.names)
    with _reading(path, schema), pq.ParquetFile(path, page_checksum_verification=True) as file:
        record, hashes = _provenance(path, schema, expect), RowHashes()
        hashes.add(file.schema_arrow.empty_table().select(names))
        for batch in file.iter_batches(READ_ROWS, columns=names):
            hashes.add(batch)
        record.expect_content(hashes.columns(), file=path, stage=_stage(schema))
        yield from file.iter_batches(READ_ROWS, columns=names)


def read_some(
    path: Path,
    schema: pa.Schema,
    key: str,
    values: Collection[str],
    columns: Sequence[str] | None = None,
    expect: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Read the rows of some ids, in the table's order; memory holds these and a batch, not the table.

    Args:
        key: the column of the ids, one of `columns`.
        columns, expect: as for `read_table`.

    Raises:
        UserError: as `read_table`.
    """
    wanted = pa.array(sorted(set(values)), pa.string())
    batches = read_batches(path, schema, columns, expect)
    kept = [batch.filter(pc.is_in(batch[key], value_set=wanted)) for batch in batches]
    names = list(columns or schema.names)
    return pa.Table.from_batches(kept) if kept else schema.empty_table().select(names)


def _provenance(path: Path, schema: pa.Schema, expect: Mapping[str, Any] | None) -> Provenance:
    text = (pq.read_metadata(path).metadata or {}).get(KEY.encode())
    stage = _stage(schema)
    mend = remedy(stage, (expect or {}).get("dataset"))
    if text is None:
        reason = "the table does not say what it was made from: another version or another tool wrote it"
        raise UserError(reason, mend, file=path)
    try:
        record = Provenance.from_json(text)
    except ValueError as error:
        raise UserError("what the table says of itself is damaged", mend, file=path, value=error) from None
    record.expect(_kind(schema), expect or {}, file=path, stage=stage)
    return record


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


def _kind(schema: pa.Schema) -> str:
    return schema.metadata[b"kind"].decode()


def _stage(schema: pa.Schema) -> str:
    """The stage that writes tables of this schema."""
    return schema.metadata[b"stage"].decode()
