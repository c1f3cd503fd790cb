"""The words that captions of aerial images use for numbers, positions, attributes and relations."""

import re
from collections.abc import Sequence

from pipeline.graph.scene_graph import NUMBER_WORDS

TOKEN = re.compile(r"[^\W_]+(?:['’\-‐‑][^\W_]+)*|[.,;:!?()]|\n|[+&/]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


HYPHEN = re.compile(r"[-‐‑]")
STOPS = frozenset(".!?\n")

_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
NUMBERS: dict[str, int] = {
    **NUMBER_WORDS, **_TENS, "ninety": 90, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "dozen": 12, "single": 1, "lone": 1, "solitary": 1,
    "sole": 1,
}  # fmt: skip
# vague quantities; the words of one class mean the same
VAGUE = {
    "many": "many", "numerous": "many", "countless": "many", "abundant": "many", "plentiful": "many",
    "some": "some", "several": "some", "multiple": "some", "various": "some",
    "few": "few",
}  # fmt: skip
# "a lot of": the quantity that the word before "of" gives; None: no quantity
COLLECTIVES: dict[str, int | str | None] = {
    "lot": "many", "lots": "many", "plenty": "many", "dozens": "many", "hundreds": "many", "scores": "many",
    "multitude": "many", "abundance": "many", "number": "some", "handful": "few", "pair": 2, "couple": 2,
    "trio": 3, "quartet": 4, "row": None, "rows": None, "line": None, "lines": None, "group": None,
    "groups": None,
    "cluster": None, "clusters": None, "set": None, "patch": None, "patches": None, "stand": None,
    "series": None, "array": None, "collection": None, "expanse": None, "area": None, "stretch": None,
    "piece": None, "total": None, "variety": None, "mix": None, "block": None, "blocks": None,
}  # fmt: skip

COPULAS = _words("is are was were be being been 's appear appears look looks seem seems remain remains")
PLURAL_COPULAS = _words("are were appear look seem remain")
RELATIVES = _words("that which who")
PRONOUNS = {"it": False, "they": True, "them": True, "these": True, "those": True, "both": True}
DETERMINERS = _words(
    "a an the this that these those its their both all each every another other such any our"
)
DEFINITE = _words("the this that these those its their both all each every other")
NEGATIONS = _words("no not without neither nor never none lacks lacking lack isn't aren't hasn't")
CONJUNCTIONS = frozenset(("and", "plus", "&", "+", "while", "whereas", "but"))
PREPOSITIONS = _words("at in on near toward towards to along from by within inside around into")
FUNCTION_WORDS = _words(
    "there here with without where as well along also of for then too only just very quite rather mostly "
    "mainly all has have having had contains contain containing features feature featuring shows show "
    "includes include including can see seen visible be we you one's while whereas but or"
)
VERBS = _words(
    "sits sit stands stand lies lie located situated parked placed positioned set arranged found seen shown "
    "stood standing sitting lying occupies occupy dominates visible present dotted scattered lined spread "
    "painted coloured colored grouped clustered gathered moored docked growing grow runs run running"
)
ABSENCE = _words("free empty devoid clear")  # of objects
PICTURE_WORDS = _words("image scene picture photo photograph frame view area map tile shot aerial")

ATTRIBUTE_SYNONYMS = (
    ("gray", "grey"), ("big", "large", "huge", "sizable", "sizeable"), ("small", "little", "tiny"),
    ("round", "circular"), ("wood", "wooden"), ("rectangular", "rectangle-shaped"),
    ("oval", "elliptical"), ("curved", "curving", "curvy"), ("beige", "tan"),
    ("purple", "violet"), ("dense", "densely-packed", "thick"), ("empty", "vacant"),
    ("colourful", "colorful"),
)  # fmt: skip
COMMON_ATTRIBUTES = _words(
    "red blue green yellow white black gray brown orange purple pink beige silver golden turquoise small "
    "large "
    "medium long short tall wide narrow round square rectangular oval straight curved wooden dense sparse "
    "dark "
    "bright empty"
)
NAME_SYNONYMS = (
    ("airplane", "aeroplane", "plane", "aircraft", "jet", "airliner"), ("ship", "vessel"),
    ("harbor", "harbour"), ("car", "automobile"), ("lorry", "truck"),
    ("parking lot", "car park", "parking area"),
    ("swimming pool", "pool"), ("house", "home"), ("lawn", "grass"), ("tarmac", "pavement"),
    ("woods", "forest"),
    ("roundabout", "traffic circle"), ("storage tank", "tank"), ("bare soil", "bare ground", "bare earth"),
    ("sea", "ocean"), ("mobile home", "trailer"), ("tennis court", "tennis-court"),
)  # fmt: skip
_ROWS = {
    "top": "top", "upper": "top", "topmost": "top", "uppermost": "top", "north": "top", "northern": "top",
    "bottom": "bottom", "lower": "bottom", "bottommost": "bottom", "south": "bottom", "southern": "bottom",
}  # fmt: skip
_COLUMNS = {
    "left": "left", "lefthand": "left", "left-hand": "left", "leftmost": "left", "west": "left",
    "western": "left", "right": "right", "righthand": "right", "right-hand": "right", "rightmost": "right",
    "east": "right", "eastern": "right",
}  # fmt: skip
_MIDDLES = _words("center centre middle central mid")
_CORNERS = {
    row + column + ending: (_ROWS[row], _COLUMNS[column])
    for row in ("north", "south")
    for column in ("west", "east")
    for ending in ("", "ern")
}
POSITION_WORDS = frozenset({*_ROWS, *_COLUMNS, *_MIDDLES, *_CORNERS})
POSITION_TAILS = _words(
    "corner side part edge region section half portion quadrant hand third end zone margin"
)
POSITION_DEGREES = _words("far very extreme")
POSITION_STARTS = POSITION_WORDS | POSITION_DEGREES | PREPOSITIONS | {"the"}


def cell_of(words: Sequence[str]) -> str | None:
    """The grid cell that position words name together, or None where they name none or more than one."""
    rows, columns = set(), set()
    for word in words:
        if word in _CORNERS:
            rows.add(_CORNERS[word][0])
            columns.add(_CORNERS[word][1])
        elif word in _ROWS:
            rows.add(_ROWS[word])
        elif word in _COLUMNS:
            columns.add(_COLUMNS[word])
    if len(rows) > 1 or len(columns) > 1:
        return None
    return " ".join([*rows, *columns]) or "center"


# Predicates whose phrases mean the same. The mark after | says how the phrase reads beside the class's
# first one:
# "=" the same way round, "~" either way round (next to), "<" the other way round (surrounds, surrounded by).
PREDICATE_CLASSES: tuple[tuple[tuple[str, str], ...], ...] = (
    (("next to", "~"), ("beside", "~"), ("adjacent to", "~"), ("alongside", "~"), ("near", "~"),
     ("near to", "~"),
     ("close to", "~"), ("by", "~"), ("nearby", "~"), ("neighboring", "~"), ("neighbouring", "~")),
    (("left of", "="), ("to the left of", "="), ("on the left of", "="), ("at the left of", "="),
     ("on the left side of", "="), ("to the left side of", "="), ("west of", "="), ("to the west of", "="),
     ("right of", "<"), ("to the right of", "<"), ("on the right of", "<"), ("at the right of", "<"),
     ("on the right side of", "<"), ("to the right side of", "<"), ("east of", "<"), ("to the east of", "<")),
    (("above", "="), ("north of", "="), ("to the north of", "="), ("over", "="), ("higher than", "="),
     ("below", "<"), ("beneath", "<"), ("underneath", "<"), ("under", "<"), ("south of", "<"),
     ("to the south of", "<"), ("lower than", "<")),
    (("surrounded by", "="), ("encircled by", "="), ("enclosed by", "="), ("ringed by", "="),
     ("surrounded with", "="), ("bordered by", "="), ("surrounding", "<"), ("surrounds", "<"),
     ("surround", "<"),
     ("encircling", "<"), ("encircle", "<"), ("encircles", "<")),
    (("in front of", "="), ("behind", "<"), ("at the back of", "<")),
    (("inside", "="), ("in", "="), ("within", "="), ("containing", "<"), ("contains", "<"), ("contain", "<")),
    (("on", "="), ("on top of", "="), ("upon", "=")),
    (("along", "="),),
    (("across from", "~"), ("opposite", "~"), ("facing", "~")),
    (("between", "="),),
    (("connected to", "~"), ("attached to", "~"), ("joined to", "~"), ("linked to", "~")),
)  # fmt: skip
# a text that states one of these contradicts a graph without it, even if no graph of the dataset uses it
COMMON_PREDICATES = (
    "next to", "left of", "right of", "above", "below", "surrounded by", "in front of", "behind",
)  # fmt: skip
