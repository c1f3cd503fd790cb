"""Schemas of every table, written once, and the only way tables are read and written.

Rows are sorted by their keys and carry no timestamps, so the same inputs give the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError

SPLITS = ("train", "val", "test")
ROW_GROUP_ROWS = 16_384
READ_ROWS = 4_096  # at a time, where a table is not read whole

_BBOX = pa.struct([("x", pa.float64()), ("y", pa.float64()), ("w", pa.float64()), ("h", pa.float64())])
_OBJECT = pa.struct(
    [
        ("object_id", pa.int64()),
        ("name", pa.string()),
        ("attributes", pa.list_(pa.string())),
        ("bbox", _BBOX),
    ]
)
_RELATIONSHIP = pa.struct([("subject_id", pa.int64()), ("predicate", pa.string()), ("object_id", pa.int64())])
_EDIT = pa.struct(
    [
        ("op", pa.string()),  # add | remove
        ("kind", pa.string()),  # object | relation
        ("quantity", pa.string()),
        ("name", pa.string()),
        ("attributes", pa.list_(pa.string())),
        ("position", pa.string()),
        ("subject", pa.string()),
        ("predicate", pa.string()),
        ("object", pa.string()),
    ]
)


def _schema(keys: tuple[str, ...], *fields: pa.Field) -> pa.Schema:
    return pa.schema(list(fields), metadata={"keys": ",".join(keys)})


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


IMAGES = _schema(
    ("image_id",),
    _required("image_id", pa.string()),
    _required("split", pa.string()),
    _required("path", pa.string()),  # relative to the project's root
    _required("sha256", pa.string()),  # of the file's bytes
    _required("width", pa.int32()),  # pixels
    _required("height", pa.int32()),
    pa.field("family", pa.string()),  # images made from one base; never in two splits
)
SCENE_GRAPHS = _schema(
    ("image_id",),
    _required("image_id", pa.string()),
    _required("width", pa.int32()),
    _required("height", pa.int32()),
    pa.field("scene", pa.string()),
    _required("objects", pa.list_(_OBJECT)),  # bbox in pixels, origin at the top left
    _required("relationships", pa.list_(_RELATIONSHIP)),
)
QUERIES = _schema(
    ("query_id",),
    _required("query_id", pa.string()),
    _required("split", pa.string()),
    _required("reference_id", pa.string()),
    _required("target_id", pa.string()),
    _required("target_ids", pa.list_(pa.string())),  # every right answer, target_id among them
    _required("modification", pa.string()),
    _required(
        "kind", pa.string()
    ),  # add, remove, recolour, resize, move, count, relation; free for free text
    pa.field("family", pa.string()),
    pa.field("edits", pa.list_(_EDIT)),  # null where what the text means is not known
)
REJECTS = _schema(
    ("dataset", "file", "row", "record_id", "field"),
    _required("dataset", pa.string()),
    _required("table", pa.string()),  # images, scene_graphs or queries: where the row would have gone
    _required("file", pa.string()),
    pa.field("row", pa.int64()),  # 0-based position in the file
    pa.field("record_id", pa.string()),
    pa.field("field", pa.string()),
    pa.field("value", pa.string()),
    _required("reason", pa.string()),
    _required("remedy", pa.string()),
)
_SAMPLE = pa.struct(
    [
        pa.field("text", pa.string()),
        pa.field("missed", pa.list_(pa.string())),  # null where the facts are not known
        pa.field("invented", pa.list_(pa.string())),
    ]
)
_CAPTION_FIELDS = (
    pa.field("text", pa.string()),  # null unless status is ok
    _required("status", pa.string()),  # ok | failed | empty: the graph has no objects, nothing was asked
    pa.field("error", pa.string()),
    pa.field("finish_reason", pa.string()),  # stop | length
    _required("source", pa.string()),  # first | repair | rules: which attempt the text comes from
    pa.field("prompt_tokens", pa.int32()),
    pa.field("output_tokens", pa.int32()),
    pa.field("clip_tokens", pa.int32()),  # tokens of the text, start and end included, uncut
    pa.field("facts", pa.int32()),  # how many facts the text must state; null where not known
    pa.field("fact_recall", pa.float64()),  # 0 to 1
    pa.field("missed", pa.list_(pa.string())),
    pa.field("invented", pa.list_(pa.string())),
    pa.field("first_pass_all_right", pa.bool_()),
    _required("summarised", pa.bool_()),  # the graph has more groups than the prompt (llm.max_groups)
    _required("model", pa.string()),
    _required("prompt_hash", pa.string()),
    _required("row_key", pa.string()),
)
INTERPRETATIONS = _schema(("image_id",), _required("image_id", pa.string()), *_CAPTION_FIELDS)
PSEUDO_CAPTIONS = _schema(
    ("query_id",),
    _required("query_id", pa.string()),
    *_CAPTION_FIELDS,
    _required("alternatives", pa.list_(_SAMPLE)),  # further samples (caption.samples), no two alike
)
FEATURE_IDS = _schema(("image_id",), _required("image_id", pa.string()), _required("sha256", pa.string()))
RANKINGS = _schema(
    ("method", "query_id"),
    _required("query_id", pa.string()),
    _required("kind", pa.string()),
    _required("method", pa.string()),
    _required("rank", pa.int32()),  # 1-based, of the best right answer
    _required("average_precision", pa.float64()),
    _required("top", pa.list_(pa.string())),  # ids of the first 50
)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
