"""Schemas of every table, written once, and the only way tables are read and written.

Rows are sorted by their keys and carry no timestamps, so the same inputs give the same bytes.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError

SPLITS = ("train", "val", "test")
ROW_GROUP_ROWS = 16_384

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


def write_table(rows: pa.Table | list[dict], path: Path, schema: pa.Schema) -> None:
    """Write rows sorted by the schema's keys; the same rows give the same bytes.

    Raises:
        ValueError: a key stands twice, a required value is null, or a type does not fit.
    """
    table = pa.Table.from_pylist(rows, schema=schema) if isinstance(rows, list) else rows
    table = table.select(schema.names).cast(schema).replace_schema_metadata(None)
    keys = _keys(schema)
    table = table.sort_by([(key, "ascending") for key in keys]).combine_chunks()
    _check(table, schema, str(path))
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=ROW_GROUP_ROWS)


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """Read a table, refusing one whose columns are not the schema's.

    Raises:
        UserError: the file is missing, is no Parquet, or has other columns or types.
    """
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
        return pq.read_table(path, columns=columns or schema.names)
    except pa.ArrowInvalid as error:
        raise UserError("the file is not readable as Parquet", _STALE, file=path, value=error) from None


_STALE = "It was written by another version or damaged: delete it and run `dvc repro`"


def _keys(schema: pa.Schema) -> list[str]:
    return schema.metadata[b"keys"].decode().split(",")


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
