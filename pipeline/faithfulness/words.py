"""The words that captions of aerial images use for numbers, positions, attributes and relations."""

import re
from collections.abc import Sequence

from pipeline.graph.scene_graph import NUMBER_WORDS

TOKEN = re.compile(r"[^\W_]+(?:['’\-‐‑][^\W_]+)*|[.,;:!?()]|\n|[+&/]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEGREES = frozenset(("just", "mainly", "mostly", "quite", "rather", "very"))  # before an attribute
HYPHEN = re.compile(r"[-‐‑]")
STOPS = frozenset(".!?\n")

_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80}
NUMBERS: dict[str, int] = {
    **NUMBER_WORDS, **_TENS, "ninety": 90, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "dozen": 12, "single": 1, "lone": 1, "solitary": 1,
    "sole": 1,
}  # fmt: skip
ALONE = _words("single lone solitary sole")
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
    "herd": None, "flock": None, "fleet": None, "grove": None,
    "piece": None, "total": None, "variety": None, "mix": None, "block": None, "blocks": None,
}  # fmt: skip

CONTRACTIONS = {
    "they're": ("they", "are"), "it's": ("it", "is"), "there's": ("there", "is"), "that's": ("that", "is"),
    "here's": ("here", "is"), "which's": ("which", "is"), "there're": ("there", "are"),
}  # fmt: skip
COPULAS = _words(
    "is are was were be being been 's appear appears look looks seem seems remain remains number"
)
PLURAL_COPULAS = _words("are were appear look seem remain number")
RELATIVES = _words("that which who")
PRONOUNS = {"it": False, "they": True, "them": True, "these": True, "those": True, "both": True}
DETERMINERS = _words(
    "a an the this that these those its their both all each every another other such any our"
)
ARTICLES = _words("a an the")
INDEFINITE_ARTICLES = _words("a an")
ONE_MORE = _words("a an another")
THE_ONE = _words("the this that its their")  # before a noun in the singular
DEFINITE = _words("the this that these those its their both all each every other")
NEGATIONS = _words(
    "no not without neither nor never none lacks lacking lack isn't aren't hasn't haven't doesn't don't "
    "didn't wasn't weren't won't cannot can't couldn't"
)
CONJUNCTIONS = frozenset(("and", "plus", "&", "+", "while", "whereas", "but"))
CONJUNCTION_PHRASES = (
    "as well as", "along with", "together with", "in addition to", "and also", "but also", "accompanied by",
)  # fmt: skip
PRONOUN_PHRASES = ("the former", "the latter")
EACH_PHRASES = (
    "each of them", "each of these", "each one", "every one of them", "each of which", "all of them",
    "all of these",
)  # fmt: skip
BOTH_PHRASES = ("both of them", "both of these")
MATERIAL_PHRASES = (
    "made of", "made from", "made out of", "built of", "built from", "built out of", "constructed of",
    "constructed from",
)  # fmt: skip
IDLE_PHRASES = (
    "as well", "from left to right", "from top to bottom", "side by side", "in total", "next to each other",
    "each other", "one another", "in all", "in number",
    "centers on", "centres on", "centered on", "centred on", "no fewer than", "no less than", "no more than",
)  # fmt: skip
VERB_PHRASES = ("takes up", "take up", "taking up")
PREPOSITIONS = _words(
    "at in on near toward towards to along from by within inside around into across throughout through"
)
FUNCTION_WORDS = _words(
    "there here with without where as along also of for then too only just very quite rather mostly "
    "mainly all has have having had contains contain containing features feature featuring shows show "
    "includes include including can see seen visible be we you one's while whereas but or alone together "
    "likewise similarly"
)
VERBS = _words(
    "sits sit stands stand lies lie located situated parked placed positioned set arranged found seen "
    "shown stood standing sitting lying occupies occupy dominates visible present dotted scattered lined "
    "spread painted coloured colored grouped clustered gathered moored docked growing grow runs run "
    "running spans span spanning stretches stretch stretching fills fill filling rests rest resting "
    "extends extend extending float floats floating rise rises rising occupying share shares line lines "
    "lining border flank hold holds holding hosts host boasts boast aligned installed built distributed "
    "dominate goes passes pass leads lead"
)
LOOKS_NOUNS = _words("size color colour shape hue form tone")  # "of medium size", "red in color"
BEFORE_LOOKS = _words("with of in has have having")  # "with a red color"
ABSENCE = _words("free empty devoid clear absence lack absent bare")  # of objects
LACKING = _words("lacks lack lacking missing except excluding")  # before what is not there
ONE = _words("one other another first second third fourth fifth sixth")  # "the blue one", "the other"
INDEFINITE = _words("a an any")
# after "not": "does not have", "is not visible"
HAVING = _words(
    "have has had having contain contains containing show shows feature features include includes hold holds"
)
PRESENCE = _words("exist exists present visible seen found shown there depicted")
GONE = _words("absent missing gone nonexistent non-existent disappeared vanished nowhere lacking")

# What no caption says, whatever the graph.
SPEAKER = _words(
    "i i'm i'd i'll i've me my you your user sorry please ai assistant unable unfortunately apologies "
    "apologize sure certainly okay ok yes note let's let hello thanks hope cannot can't couldn't"
)
SEERS = _words("i you")  # "you can see", "I see"
CANNOT = _words("cannot can't couldn't")  # "cannot be seen"
TASK = _words(
    "caption captions prompt graph description sentence sentences instruction instructions instructed "
    "request requested"
)
IMPERATIVES = _words(
    "add remove delete replace change move make insert turn put place keep draw caption describe write "
    "generate imagine ensure state give take increase decrease convert create swap set note"
)
NO_IMPERATIVES = {"make": ["up"]}  # with this word after them: ", make up this scene"
EDITS = _words(
    "add added adding adds addition remove removed removing removes removal delete deleted deleting "
    "insert inserted inserting replace replaced replacing replaces replacement modification modifications "
    "modified modify edit edited editing update updated changed changes change changing moved relocated "
    "recolored recoloured repainted resized swapped substituted became becomes become introduced "
    "eliminated erased transformed converted altered adjusted unchanged previously formerly originally "
    "original anymore disappeared vanished gone instead now used rather taken cut torn pulled knocked "
    "brought put turned demolished dismantled razed felled cleared shifted enlarged reduced increased "
    "decreased doubled halved shrunk rebuilt reappeared withdrawn subtracted omitted newly recently earlier"
)
EDITS_BEFORE = {
    "used": ("to",),
    "rather": ("than",),
    "taken": ("away", "out", "down", "off"),
    "cut": ("down", "out"),
    "torn": ("down", "out"),
    "pulled": ("down", "out"),
    "knocked": ("down",),
    "brought": ("in",),
    "put": ("in", "up"),
    "turned": ("into",),
}  # edits only with one of these words after them
QUESTIONS = _words("does do did is are was were can has have what where how why who")  # as first words
HEDGES = _words(
    "might may could would should perhaps maybe possibly probably likely seemingly apparently presumably "
    "potentially supposedly unclear uncertain seems seem whether if"
)
HEDGES_AFTER = {
    "appears": (["to", "be"],), "appear": (["to", "be"],), "looks": (["like", "a"], ["like", "an"]),
    "look": (["like", "a"], ["like", "an"]),
}  # fmt: skip
PROMPT_LABELS = _words(
    "scene object objects relation relations relationship relationships modification caption image style "
    "difference edit graph description answer input output attributes user assistant system"
)
# scenes that a text may invent although no graph of the dataset has them
COMMON_SCENES = (
    "airport",
    "airfield",
    "park",
    "harbor",
    "harbour",
    "beach",
    "forest",
    "farmland",
    "stadium",
    "desert",
    "golf course",
    "parking lot",
    "marina",
    "railway station",
)
# of one kind: not invented by a text about another of them
KINDRED_SCENES = (
    ("airport", "airfield", "airplane", "runway"), ("farmland", "agricultural", "farm"),
    ("harbor", "harbour", "marina"), ("forest", "woodland"),
)  # fmt: skip
SCENE_SPELLINGS = (("harbor", "harbour"), ("center", "centre"), ("storey", "story"))
SCENE_NOUNS = _words("scene area setting site complex facility")  # "a tennis court area"
PICTURE_WORDS = _words("image scene picture photo photograph frame view area map tile shot aerial")

ATTRIBUTE_SYNONYMS = (
    ("gray", "grey"), ("big", "large", "huge", "sizable", "sizeable"), ("small", "little", "tiny"),
    ("round", "circular"), ("wood", "wooden"), ("rectangular", "rectangle-shaped"),
    ("brick", "bricks"), ("log", "logs"), ("stone", "stones"), ("winding", "winds", "meandering", "meanders"),
    ("oval", "elliptical"), ("curved", "curving", "curvy"), ("beige", "tan"),
    ("purple", "violet"), ("dense", "densely-packed", "thick"), ("empty", "vacant"),
    ("colourful", "colorful"), ("lined-up", "in a row", "in rows", "in a line", "in lines", "in neat rows"),
)  # fmt: skip
COMMON_ATTRIBUTES = _words(
    "red blue green yellow white black gray brown orange purple pink beige silver golden turquoise small "
    "large "
    "medium long short tall wide narrow round square rectangular oval straight curved wooden dense sparse "
    "dark bright empty colourful"
)
# conditions and ages, which models add to objects
COMMON_STATES = _words(
    "abandoned derelict dilapidated damaged broken ruined collapsed rusty rusted rusting dusty dirty muddy "
    "cracked crumbling decaying faded frozen flooded overgrown burnt burned neglected old new modern ancient"
)
# the end of a compound that says how something looks: "moss-covered", "brick-built"
COMPOUND_ENDS = _words("covered built clad coated stained strewn worn roofed ridden eaten")
# nouns of how a text looks at a scene, and of how objects lie in it
NO_OBJECTS = frozenset(COLLECTIVES) | _words(
    "side sides part parts type types kind kinds section sections layer layers level levels column columns "
    "color colors colour colours shape shapes size sizes form pattern layout landscape backdrop setting "
    "scenery mixture sense contrast background foreground distance perspective arrangement view half halves "
    "object objects item items direction directions corner corners edge edges end ends way whole"
)
COVERED = _words("covered coated stained clad caked overgrown")  # "in rust", "with moss"
# what stands where an attribute would, and is none: it is of place, of sight, or of the text itself
NO_ATTRIBUTES = _words(
    "aside apart close together away nearby overhead above below too overall however meanwhile moreover "
    "again respectively next last further instead though different identical similar alike "
    "clear evident noticeable distinct prominent discernible apparent recognizable recognisable identifiable "
    "observable detectable notable depicted pictured captured featured included mentioned described noted "
    "oriented orientated angled spaced separated isolated concentrated centered centred anchored berthed "
    "tied stationed stationary idle dispersed organized organised ordered assembled confined planted laid "
    "nestled tucked packed stacked piled bunched huddled perched landed stopped surrounded bordered flanked "
    "crossed connected attached linked joined adjacent parallel perpendicular divided interspersed mixed "
    "made used known photographed taken imaged"
)
# what a text may call objects by whose name a graph calls them more generally, or nearly the same
_VEHICLES = _words("car truck bus van lorry tractor trailer motorcycle bicycle excavator")
_BOATS = _words("boat ship yacht ferry barge sailboat canoe")
_HOUSES = _words("villa hut shed cottage")
_BUILDINGS = _HOUSES | _words(
    "house skyscraper tower church chapel mosque temple school hospital hotel garage warehouse factory barn "
    "greenhouse hangar lighthouse gazebo"
)
_PLANTS = _words("tree bush hedge shrub flower palm")
_WATERS = _words("pond lake river stream canal lagoon")
_AIRCRAFT = _words("airplane helicopter")
_GROUNDS = _words("playground") | {"tennis court", "basketball court", "football field"}
_PEOPLE = _words("person pedestrian child swimmer")
NARROWER_NAMES = {
    "vehicle": _VEHICLES, "automobile": _VEHICLES, "boat": _BOATS, "ship": _BOATS, "vessel": _BOATS,
    "house": _HOUSES, "home": _HOUSES | {"house"}, "building": _BUILDINGS, "structure": _BUILDINGS,
    "plant": _PLANTS, "vegetation": _PLANTS, "tree": {"palm"}, "bush": {"shrub", "hedge"}, "water": _WATERS,
    "pond": {"lake"}, "lake": {"pond", "lagoon"}, "river": {"stream", "canal"}, "aircraft": _AIRCRAFT,
    "court": _GROUNDS, "field": _GROUNDS, "playground": _GROUNDS, "person": _PEOPLE, "people": _PEOPLE,
    "dock": {"pier", "jetty"}, "pier": {"dock", "jetty"}, "harbor": {"dock", "pier", "jetty"},
}  # fmt: skip
# objects that a text may invent although no graph of the dataset has them
COMMON_NAMES = frozenset().union(
    *NARROWER_NAMES.values(),
    _words(
        "train tram runway helipad bridge viaduct dam fountain island hill mountain fence wall gate statue "
        "monument bench umbrella parasol lamp streetlight animal cow horse sheep dog duck windmill container "
        "buoy billboard crane chimney silo slide trampoline pergola tent"
    ),
    ("wind turbine", "solar panel", "swimming pool"),
)
NAMED_SHAPES = _words("square oval")  # attributes that are names of classes too
NAME_SYNONYMS = (
    ("airplane", "aeroplane", "plane", "aircraft", "jet", "airliner"), ("ship", "vessel"),
    ("harbor", "harbour"), ("car", "automobile"), ("lorry", "truck"),
    ("parking lot", "car park", "parking area"),
    ("swimming pool", "pool"), ("house", "home"), ("lawn", "grass"), ("tarmac", "pavement"),
    ("woods", "forest"),
    ("roundabout", "traffic circle"), ("storage tank", "tank"), ("bare soil", "bare ground", "bare earth"),
    ("sea", "ocean"), ("mobile home", "trailer"), ("tennis court", "tennis-court"),
)  # fmt: skip
# no synonyms of the others where labels use both
NARROWER = _words("jet airliner lawn tarmac pavement forest pool tank trailer huge tiny tan thick")
NO_NAME_BEFORE = {"home": "to"}  # "the park is home to three trees"
VERB_NAMES = _words("houses house bridges bridge borders")  # verbs that are names of classes too
NOUNS_AND_VERBS = _words("stand stands")  # of a stadium, or what trees do
# collectives that are names of classes too
COLLECTIVE_NAMES = _words("lot lots line lines block blocks patch patches array") | NOUNS_AND_VERBS

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
     ("surrounded with", "="), ("bordered by", "="), ("around", "<"), ("all around", "<"),
     ("surrounding", "<"), ("surrounds", "<"), ("surround", "<"),
     ("encircling", "<"), ("encircle", "<"), ("encircles", "<"),
     ("enclosing", "<"), ("encloses", "<"), ("enclose", "<"), ("bordering", "<")),
    (("in front of", "="), ("behind", "<"), ("at the back of", "<")),
    (("inside", "="), ("inside of", "="), ("in", "="), ("within", "="),
     ("containing", "<"), ("contains", "<"), ("contain", "<")),
    (("on", "="), ("on top of", "="), ("upon", "=")),
    (("along", "="),),
    (("across from", "~"), ("opposite", "~"), ("facing", "~")),
    (("between", "="),),
    (("connected to", "~"), ("attached to", "~"), ("joined to", "~"), ("linked to", "~")),
)  # fmt: skip
CONTAINING = frozenset(
    ("at", "in", "inside", "within", "on", "on top of", "upon")
)  # what is so placed shares a place
ROWS = (("a", "row"), ("a", "line"), ("a", "group"), ("a", "cluster"))  # after "in", no objects
INSIDE = _words("in inside within on")
PLACING = ("on the ", "at the ")  # predicates that may as well say where in the scene something is
# may say no more than "and", or "has": "boats in the water", "It contains two cars"
LOOSE_PREDICATES = _words("alongside by in contain contains")
# a text that states one of these contradicts a graph without it, even if no graph of the dataset uses it
COMMON_PREDICATES = (
    "next to", "left of", "right of", "above", "below", "surrounded by", "in front of", "behind",
)  # fmt: skip
