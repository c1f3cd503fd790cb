"""Schemas of every table, written once. Column names and types are a contract."""

import pyarrow as pa

SPLITS = ("train", "val", "test")
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
