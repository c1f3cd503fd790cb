"""Schemas of every table, written once. Column names and types are a contract.

Each column says in its field's metadata what it means. The files of the tables carry this too, and
`python -m lempo.columns` writes the reference in docs/tables.md from it.
"""

import pyarrow as pa

from pipeline.base.described import column, described, part

SPLITS = ("train", "val", "test")
DATASET = "dataset"  # the column that every table has
MADE = "made-"  # how the ids of queries begin that the project makes
_TEXT, _TEXTS, _FLAG = pa.string(), pa.list_(pa.string()), pa.bool_()
_INT32, _INT64, _FLOAT64 = pa.int32(), pa.int64(), pa.float64()
_PIXELS = "pixels"


_BBOX = pa.struct(
    [
        part("x", _FLOAT64, "left edge, from the left of the image", 173.63, unit=_PIXELS),
        part("y", _FLOAT64, "upper edge, from the top of the image", 52.89, unit=_PIXELS),
        part("w", _FLOAT64, "width", 50.13, unit=_PIXELS),
        part("h", _FLOAT64, "height", 26.43, unit=_PIXELS),
    ]
)
_OBJECT = pa.struct(
    [
        part("object_id", _INT64, "number of the object; its graph has it once", 0),
        part("name", _TEXT, "class of the object", "terminal"),
        part("attributes", _TEXTS, "what else is said of it, such as size and colour", ["medium", "black"]),
        part("bbox", _BBOX, "where it is", None, null="not stated"),
    ]
)
_RELATIONSHIP = pa.struct(
    [
        part("subject_id", _INT64, "the `object_id` that the relation starts from", 4),
        part("predicate", _TEXT, "the relation", "below"),
        part("object_id", _INT64, "the `object_id` that it leads to", 3),
    ]
)
_OF_RELATION, _OF_OBJECT = "the edit is of a relation", "the edit is of an object"
_EDIT = pa.struct(
    [
        part("op", _TEXT, "`add` or `remove`", "remove"),
        part("kind", _TEXT, "`object` or `relation`", "object"),
        part("quantity", _TEXT, "how many objects; empty where it is not said", "1", null=_OF_RELATION),
        part("name", _TEXT, "class of the objects", "terminal", null=_OF_RELATION),
        part("attributes", _TEXTS, "their attributes", ["medium", "black"], null=_OF_RELATION),
        part(
            "position",
            _TEXT,
            "where they are in the image",
            "top right",
            null=f"not said, or {_OF_RELATION}",
        ),
        part("subject", _TEXT, "class of the objects that the relation starts from", "car", null=_OF_OBJECT),
        part("predicate", _TEXT, "the relation", "left of", null=_OF_OBJECT),
        part("object", _TEXT, "class of the objects that it leads to", "hangar", null=_OF_OBJECT),
    ]
)
_TILE = pa.struct(
    [
        part("x", _INT32, "left edge in the scene", 512, unit=_PIXELS),
        part("y", _INT32, "upper edge in the scene", 0, unit=_PIXELS),
        part("w", _INT32, "width", 512, unit=_PIXELS),
        part("h", _INT32, "height", 512, unit=_PIXELS),
    ]
)
_CRS_UNIT = "unit of `crs`"
_BOUNDS = pa.struct(
    [
        part("left", _FLOAT64, "west edge", 399960.0, unit=_CRS_UNIT),
        part("bottom", _FLOAT64, "south edge", 4990200.0, unit=_CRS_UNIT),
        part("right", _FLOAT64, "east edge", 509760.0, unit=_CRS_UNIT),
        part("top", _FLOAT64, "north edge", 5100000.0, unit=_CRS_UNIT),
    ]
)
_UNKNOWN = "the facts are not known"
_MISSED = "facts of the scene graph that the text does not state", ["car below bus"]
_INVENTED = (
    "what the text states and the scene graph does not, and faults of its form",
    ["car below fuel truck"],
)
_SAMPLE = pa.struct(
    [
        part("text", _TEXT, "the caption", "An airfield scene with one bus at the bottom."),
        part("missed", _TEXTS, *_MISSED, null=_UNKNOWN),
        part("invented", _TEXTS, *_INVENTED, null=_UNKNOWN),
    ]
)
_SHARES = pa.struct(
    [
        part("triplet", pa.float32(), "what the triplet similarity adds", -0.034),
        part("language", pa.float32(), "what the language similarity adds", 0.0117),
        part("pseudo_caption", pa.float32(), "what the pseudo caption similarity adds", 0.2754),
    ]
)
_ERROR = "the answer held no caption"
_REPLACED = pa.struct(
    [
        part(
            "text", _TEXT, "the model's best caption", "An airfield scene.", null="no answer held a caption"
        ),
        part("error", _TEXT, "why there is no caption", _ERROR, null="there is one"),
        part("missed", _TEXTS, *_MISSED, null=_UNKNOWN),
        part("invented", _TEXTS, *_INVENTED, null=_UNKNOWN),
    ]
)

# the writer fills it in where a table is made from one dataset, so that tables of several can be read as one
_DATASET = column(DATASET, _TEXT, "name of the dataset", "airplane")
_IMAGE_ID = column("image_id", _TEXT, "id of the image; its dataset has it once", "airplane-test-002-a-06")
_QUERY_ID = column("query_id", _TEXT, "id of the query; its dataset has it once", "airplane-test-002-a-11")
_SPLIT = column("split", _TEXT, "`train`, `val` or `test`", "test")
_SHA256 = column("sha256", _TEXT, "sha256 of the bytes of the image's file, in hex", "211056ed...")
_KINDS = (
    "`add`, `remove`, `recolour`, `resize`, `move`, `count` or `relation`; `free` for several kinds at once, "
    "or for free text"
)
_KIND = column("kind", _TEXT, f"what the modification changes: {_KINDS}", "remove")
_WIDTH = column("width", _INT32, "width of the image", 256, unit=_PIXELS)
_HEIGHT = column("height", _INT32, "height of the image", 256, unit=_PIXELS)
_FAMILY = "images made from one base, or cut from one scene; no family is in two splits"

IMAGES = described(
    "images",
    "corpus",
    "image_id",
    "The images of a dataset that can be used.",
    _DATASET,
    _IMAGE_ID,
    _SPLIT,
    column(
        "path",
        _TEXT,
        "the file, relative to the project's folder",
        "data/corpus/airplane/images/airplane-test-002-a-06.jpg",
    ),
    _SHA256,
    _WIDTH,
    _HEIGHT,
    column("family", _TEXT, _FAMILY, "airplane-test-002", null="not known"),
    column("place", _TEXT, "where it was taken; no place is in two splits", "LFPG", null="not known"),
    column("scene_id", _TEXT, "the image that the tile is cut from", "scene-07", null="it is no tile"),
    column("tile", _TILE, "where the tile lies in its scene", null="it is no tile"),
    column("date", _TEXT, "when it was taken, as the source writes it", "2021-06-03", null="not known"),
    column("crs", _TEXT, "coordinate reference system of `bounds`", "EPSG:32631", null="not known"),
    column("bounds", _BOUNDS, "the rectangle that it covers on the map", null="not known"),
    column("gsd", _FLOAT64, "ground sampling distance", 0.3, unit="metres per pixel", null="not known"),
    column("licence", _TEXT, "licence, as the source writes it", "CC BY 4.0", null="not known"),
    column("extra", _TEXT, "further values of the source, as a JSON object", '{"sensor": "S2"}', null="none"),
)
SCENE_GRAPHS = described(
    "scene_graphs",
    "corpus",
    "image_id",
    "The scene graphs of the images that have one.",
    _DATASET,
    _IMAGE_ID,
    _WIDTH,
    _HEIGHT,
    column("scene", _TEXT, "what the whole image shows", "airfield", null="not stated"),
    column("objects", pa.list_(_OBJECT), "the objects; empty for a graph without any"),
    column("relationships", pa.list_(_RELATIONSHIP), "relations between two objects"),
)
_QUERY_FIELDS = (
    _DATASET,
    _QUERY_ID,
    _SPLIT,
    column("reference_id", _TEXT, "the image that the user shows", "airplane-test-002-a-00"),
    column("target_id", _TEXT, "the image that the user wants", "airplane-test-002-a-11"),
    column("target_ids", _TEXTS, "every right answer, `target_id` among them", ["airplane-test-002-a-11"]),
    column("modification", _TEXT, "what should be different, in words", "leave out the terminal"),
    _KIND,
    column("family", _TEXT, f"of its images: {_FAMILY}", "airplane-test-002", null="not known"),
    column(
        "edits",
        pa.list_(_EDIT),
        "facts of the reference's scene graph that the modification removes and adds",
        null="not known",
    ),
)
QUERIES = described(
    "queries", "corpus", "query_id", "The queries that a dataset brings; may be empty.", *_QUERY_FIELDS
)
_NOT_WRITTEN = "no language model wrote its words"
PAIRS = described(
    "pairs",
    "pairs",
    "query_id",
    "All queries, brought and made: what every later stage reads.",
    *_QUERY_FIELDS,
    column(
        "style", _TEXT, "how a made one is worded: `command`, `wish` or `comparison`", "wish", null="brought"
    ),
    column(
        "source",
        _TEXT,
        "`brought`; of a made one, which attempt wrote its words: `first`, `repair` or `rules`",
        "brought",
    ),
    column("row_key", _TEXT, "key of the cached answer, a sha256 in hex", "df636b40...", null=_NOT_WRITTEN),
)
BROUGHT_CAPTIONS = described(
    "brought_captions",
    "corpus",
    "for,id",
    "Captions that a person wrote; they take the place of the language model's.",
    _DATASET,
    column("for", _TEXT, "`interpretation` or `pseudo_caption`", "interpretation"),
    column("id", _TEXT, "`image_id` of an interpretation, `query_id` of a pseudo caption", "a-00"),
    column("text", _TEXT, "the caption", "Two white airplanes beside a terminal."),
)
REJECTS = described(
    "rejects",
    "corpus",
    "dataset,file,row,record_id,field",
    "The rows of all datasets that were set aside.",
    _DATASET,
    column(
        "table", _TEXT, "`images`, `scene_graphs`, `queries` or `captions`: where it belongs", "scene_graphs"
    ),
    column("file", _TEXT, "the file that it stands in", "corpus/airplane/scene_graphs.json"),
    column("row", _INT64, "its position in the file; the first has 0", 1, null="it is a whole file"),
    column("record_id", _TEXT, "its id", "train-green", null="not known"),
    column("field", _TEXT, "the field that is wrong", "objects[0].bbox", null="it is the whole row"),
    column("value", _TEXT, "what stands there", "[2, 2, 9]", null="nothing stands there"),
    column("reason", _TEXT, "why it cannot be used", "a box is four numbers, x, y, w and h"),
    column("remedy", _TEXT, "what mends it", "Write it as [x, y, w, h]"),
)
DROPPED = described(  # with the columns of `REJECTS`
    "dropped",
    "pairs",
    "dataset,record_id",
    "The made queries of all datasets whose modification no attempt wrote rightly.",
    _DATASET,
    column("table", _TEXT, "where it would belong: `queries`", "queries"),
    column("file", _TEXT, "`pairs`: the stage made it, it stands in no file", "pairs"),
    column("row", _INT64, "not used", null="always"),
    column("record_id", _TEXT, "`query_id` that it would have", "made-7669b3c1acc91bb1", null="never"),
    column("field", _TEXT, "the field that is wrong: `modification`", "modification", null="never"),
    column(
        "value",
        _TEXT,
        "the best text that the model wrote",
        "An aerial view with one red car at the left.",
        null="no answer held a text",
    ),
    column(
        "reason",
        _TEXT,
        "why it cannot be used",
        "the text misses 'remove: the pond at the top' and adds 'an aerial view with one red car at the "
        "left'",
    ),
    column(
        "remedy",
        _TEXT,
        "what mends it",
        "Raise llm.repairs, use a larger model, or set pairs.fallback to rules",
    ),
)
_NO_ANSWER = "no model answered, or its server does not say"
_NO_MODELS = "the text is no model's, or its server does not say"
_CAPTION = (
    "An airfield scene with one white airplane at the top, one small bus at the top and two small yellow "
    "control towers at the left. The bus is above the airplane."
)
_CAPTION_FIELDS = (
    column("text", _TEXT, "the caption", _CAPTION, null="`status` is not `ok`"),
    column("status", _TEXT, "`ok`, `failed`, or `empty` for a graph without objects", "ok"),
    column("error", _TEXT, "why there is no caption", _ERROR, null="there is one"),
    column(
        "finish_reason",
        _TEXT,
        "why the model stopped: `stop`, or `length` where the text is cut",
        "stop",
        null=_NO_MODELS,
    ),
    column(
        "source",
        _TEXT,
        "where the text comes from: the model's `first` answer, its `repair`, `rules`, or `brought`",
        "first",
    ),
    column(
        "given",
        _TEXT,
        "what the text is made from: `graph`, `image` or `graph and image`",
        "graph",
        null="brought, or the graph is empty",
    ),
    column("prompt_tokens", _INT32, "length of the prompt", 78, unit="tokens of the LLM", null=_NO_ANSWER),
    column("output_tokens", _INT32, "length of the answer", 64, unit="tokens of the LLM", null=_NO_MODELS),
    column(
        "clip_tokens",
        _INT32,
        "length of the whole caption, start and end included, before the VLM cuts it",
        66,
        unit="tokens of the VLM",
        null="there is no caption",
    ),
    column("facts", _INT32, "number of facts that were looked for in the text", 23, null=_UNKNOWN),
    column(
        "fact_recall",
        _FLOAT64,
        "share of these facts that the text states",
        1.0,
        unit="0 to 1",
        null=f"{_UNKNOWN}, or there is none",
    ),
    column("missed", _TEXTS, *_MISSED, null=_UNKNOWN),
    column("invented", _TEXTS, *_INVENTED, null=_UNKNOWN),
    column(
        "unchecked",
        _TEXTS,
        "facts that cannot be looked for, since their labels are no words that the check can read",
        ["red at top"],
        null="there is no graph to compare with",
    ),
    column(
        "first_pass_all_right",
        _FLAG,
        "whether the model's first answer states every fact and invents none",
        True,
        null=f"{_UNKNOWN}, or brought",
    ),
    column(
        "replaced",
        _REPLACED,
        "the model's best answer, where a text by rule stands in its place",
        null="nothing was replaced",
    ),
    column(
        "summarised",
        _FLAG,
        "whether the graph says more than the prompt (`llm.max_groups`, `llm.max_relations`)",
        False,
    ),
    column("model", _TEXT, "the language model, as `llm.model` names it", "models/captioner"),
)


def _keys(prompt_hash: str, row_key: str) -> tuple[pa.Field, pa.Field]:
    """The columns that say of a caption which prompt and which answer it is from; their examples."""
    return (
        column("prompt_hash", _TEXT, "sha256 of the prompt's file, in hex", prompt_hash),
        column("row_key", _TEXT, "key of the cached answer, a sha256 in hex", row_key),
    )


INTERPRETATIONS = described(
    "interpretations",
    "interpret",
    "image_id",
    "For every scene graph a caption of its image. With `llm.images`, also for images without a graph.",
    _DATASET,
    _IMAGE_ID,
    *_CAPTION_FIELDS,
    *_keys("02aee5df...", "2201b44d..."),
)
PSEUDO_CAPTIONS = described(
    "pseudo_captions",
    "caption",
    "query_id",
    "For every query a caption of the image that the user wants.",
    _DATASET,
    _QUERY_ID,
    *_CAPTION_FIELDS,
    *_keys("1ae986cf...", "423fb124..."),
    column(
        "alternatives", pa.list_(_SAMPLE), "further captions (`caption.samples`), no two alike; often empty"
    ),
)
FEATURE_IDS = described(
    "feature_ids",
    "embed",
    "image_id",
    "The image of each row of `vectors.npy`, in the same order.",
    _DATASET,
    _IMAGE_ID,
    _SHA256,
)
RANKINGS = described(
    "rankings",
    "evaluate",
    "method,query_id",
    "What each method answers to each query of the test split.",
    _DATASET,
    _QUERY_ID,
    _KIND,
    column("method", _TEXT, "name of the method, as in `metrics/evaluate/`", "hybrid"),
    column("rank", _INT32, "rank of the best right answer; the first image has 1", 1),
    column("average_precision", _FLOAT64, "average precision over all right answers", 1.0, unit="0 to 1"),
    column(
        "top",
        _TEXTS,
        "ids of the first 50 images, the best first; fewer where the gallery is smaller",
        ["airplane-test-002-a-11", "airplane-test-002-a-15"],
    ),
    column(
        "scores",
        pa.list_(pa.float32()),
        "scores of these images, to 4 decimal places; those of two methods cannot be compared",
        [0.2532, 0.2524],
    ),
    column(
        "shares",
        pa.list_(_SHARES),
        "of the images of `top`: what each similarity adds to the score, its weight times its cosine",
        None,
        null="the method's score is no such sum",
    ),
)
TABLES = (
    IMAGES,
    SCENE_GRAPHS,
    QUERIES,
    BROUGHT_CAPTIONS,
    REJECTS,
    PAIRS,
    DROPPED,
    INTERPRETATIONS,
    PSEUDO_CAPTIONS,
    FEATURE_IDS,
    RANKINGS,
)
