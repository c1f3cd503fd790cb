"""Schemas of every table, written once. Column names and types are a contract."""

import pyarrow as pa

SPLITS = ("train", "val", "test")
DATASET = "dataset"  # the column that every table has
MADE = "made-"  # how the ids of queries begin that the project makes
_TEXT, _TEXTS, _FLAG = pa.string(), pa.list_(pa.string()), pa.bool_()
_INT32, _INT64, _FLOAT64 = pa.int32(), pa.int64(), pa.float64()

_BBOX = pa.struct([(key, _FLOAT64) for key in ("x", "y", "w", "h")])  # pixels, from the image's top left
_OBJECT = pa.struct([("object_id", _INT64), ("name", _TEXT), ("attributes", _TEXTS), ("bbox", _BBOX)])
_RELATIONSHIP = pa.struct([("subject_id", _INT64), ("predicate", _TEXT), ("object_id", _INT64)])
_EDIT = pa.struct(
    [
        ("op", _TEXT),  # add | remove
        ("kind", _TEXT),  # object | relation
        ("quantity", _TEXT),
        ("name", _TEXT),
        ("attributes", _TEXTS),
        ("position", _TEXT),
        ("subject", _TEXT),
        ("predicate", _TEXT),
        ("object", _TEXT),
    ]
)
_TILE = pa.struct([(key, _INT32) for key in ("x", "y", "w", "h")])  # pixels of its scene
_BOUNDS = pa.struct([(key, _FLOAT64) for key in ("left", "bottom", "right", "top")])  # in the CRS
_SAMPLE = pa.struct([("text", _TEXT), ("missed", _TEXTS), ("invented", _TEXTS)])  # null: not known
_SHARES = pa.struct([(term, pa.float32()) for term in ("triplet", "language", "pseudo_caption")])
_REPLACED = pa.struct([("text", _TEXT), ("error", _TEXT), ("missed", _TEXTS), ("invented", _TEXTS)])


def _schema(kind: str, stage: str, keys: str, *fields: pa.Field | tuple[str, pa.DataType]) -> pa.Schema:
    """`kind` names what the table holds, `stage` writes it, `keys` give the order of its rows."""
    return pa.schema(list(fields), metadata={"kind": kind, "stage": stage, "keys": keys})


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


# the writer fills it in where a table is made from one dataset, so that tables of several can be read as one
_DATASET = _required(DATASET, _TEXT)

IMAGES = _schema(
    "images",
    "corpus",
    "image_id",
    _DATASET,
    _required("image_id", _TEXT),
    _required("split", _TEXT),
    _required("path", _TEXT),  # relative to the project's root
    _required("sha256", _TEXT),  # of the file's bytes
    _required("width", _INT32),  # pixels
    _required("height", _INT32),
    ("family", _TEXT),  # images made from one base, or cut from one scene; never in two splits
    ("place", _TEXT),  # where it was taken, if that is known; never in two splits
    ("scene_id", _TEXT),  # of the image that a tile is cut from; null if it is no tile
    ("tile", _TILE),  # null if it is no tile
    ("date", _TEXT),  # of acquisition, as the source writes it
    ("crs", _TEXT),
    ("bounds", _BOUNDS),
    ("gsd", _FLOAT64),  # metres on the ground per pixel
    ("licence", _TEXT),
    ("extra", _TEXT),  # further columns of the source, as a JSON object
)
SCENE_GRAPHS = _schema(
    "scene_graphs",
    "corpus",
    "image_id",
    _DATASET,
    _required("image_id", _TEXT),
    _required("width", _INT32),
    _required("height", _INT32),
    ("scene", _TEXT),
    _required("objects", pa.list_(_OBJECT)),
    _required("relationships", pa.list_(_RELATIONSHIP)),
)
_QUERY_FIELDS = (
    _DATASET,
    _required("query_id", _TEXT),
    _required("split", _TEXT),
    _required("reference_id", _TEXT),
    _required("target_id", _TEXT),
    _required("target_ids", _TEXTS),  # every right answer, target_id among them
    _required("modification", _TEXT),
    _required("kind", _TEXT),  # add, remove, recolour, resize, move, count, relation; free for free text
    ("family", _TEXT),
    ("edits", pa.list_(_EDIT)),  # null if it is not known which facts the text changes
)
QUERIES = _schema("queries", "corpus", "query_id", *_QUERY_FIELDS)  # those that a dataset brings
PAIRS = _schema(  # those that every later stage reads
    "pairs",
    "pairs",
    "query_id",
    *_QUERY_FIELDS,
    ("style", _TEXT),  # of the modification: command, wish, comparison; null if a person wrote it
    _required("source", _TEXT),  # brought, or of a made one which attempt wrote it: first | repair | rules
    ("row_key", _TEXT),  # null unless the language model wrote it
)
BROUGHT_CAPTIONS = _schema(  # texts that a person wrote, which take the place of a model's
    "brought_captions",
    "corpus",
    "for,id",
    _DATASET,
    _required("for", _TEXT),  # interpretation | pseudo_caption
    _required("id", _TEXT),  # of an image, or of a query
    _required("text", _TEXT),
)
_REJECT_FIELDS = (
    _DATASET,
    _required("table", _TEXT),  # images, scene_graphs, queries or captions: where the row would have gone
    _required("file", _TEXT),
    ("row", _INT64),  # 0-based position in the file
    ("record_id", _TEXT),
    ("field", _TEXT),
    ("value", _TEXT),
    _required("reason", _TEXT),
    _required("remedy", _TEXT),
)
REJECTS = _schema("rejects", "corpus", "dataset,file,row,record_id,field", *_REJECT_FIELDS)
DROPPED = _schema("dropped", "pairs", "dataset,record_id", *_REJECT_FIELDS)
_CAPTION_FIELDS = (
    ("text", _TEXT),  # null unless status is ok
    _required("status", _TEXT),  # ok | failed | empty: the graph has no objects, so no text was generated
    ("error", _TEXT),
    ("finish_reason", _TEXT),  # stop | length
    _required("source", _TEXT),  # first | repair | rules | brought: where the text comes from
    ("given", _TEXT),  # graph | image | graph and image: what it is made from; null if brought or empty
    ("prompt_tokens", _INT32),
    ("output_tokens", _INT32),
    ("clip_tokens", _INT32),  # tokens of the text, start and end included, uncut
    ("facts", _INT32),  # how many facts the text is checked for; null if not known
    ("fact_recall", _FLOAT64),  # 0 to 1
    ("missed", _TEXTS),
    ("invented", _TEXTS),
    ("unchecked", _TEXTS),  # facts that cannot be looked for in a text, since their labels are no such words
    ("first_pass_all_right", _FLAG),
    ("replaced", _REPLACED),  # the model's best answer, where a text by rule stands in its place; else null
    _required("summarised", _FLAG),  # the graph says more than the prompt (llm.max_groups, llm.max_relations)
    _required("model", _TEXT),
    _required("prompt_hash", _TEXT),
    _required("row_key", _TEXT),
)
INTERPRETATIONS = _schema(
    "interpretations", "interpret", "image_id", _DATASET, _required("image_id", _TEXT), *_CAPTION_FIELDS
)
PSEUDO_CAPTIONS = _schema(
    "pseudo_captions",
    "caption",
    "query_id",
    _DATASET,
    _required("query_id", _TEXT),
    *_CAPTION_FIELDS,
    _required("alternatives", pa.list_(_SAMPLE)),  # further samples (caption.samples), no two alike
)
FEATURE_IDS = _schema(
    "feature_ids", "embed", "image_id", _DATASET, _required("image_id", _TEXT), _required("sha256", _TEXT)
)
RANKINGS = _schema(
    "rankings",
    "evaluate",
    "method,query_id",
    _DATASET,
    _required("query_id", _TEXT),
    _required("kind", _TEXT),
    _required("method", _TEXT),
    _required("rank", _INT32),  # 1-based, of the best right answer
    _required("average_precision", _FLOAT64),
    _required("top", _TEXTS),  # ids of the first 50
    _required("scores", pa.list_(pa.float32())),  # of the images of `top`
    ("shares", pa.list_(_SHARES)),  # of each of `top`: what each similarity adds; null: not a sum of these
)
