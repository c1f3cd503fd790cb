"""Rule: a class's name becomes words in the singular, as a sentence would use them.

Underscores, hyphens and CamelCase become spaces, capitals become small, and a plural becomes its singular:
"Ground_Track_Field" is "ground track field", "small-vehicle" is "small vehicle", "Airplanes" is "airplane".
"other-ship" is "ship", since other than what nobody sees, "court (tennis)" is "tennis court", and "car(s)" is
"car". Codes stay as they are: words with digits ("A220"), and capitals without a vowel or of two letters
("GTF"). A number alone gets a word, "class 7". Classes that name no object ("others", "ignored regions") are
left out.
"""

import re
import unicodedata
from functools import lru_cache

from pipeline.graph.plurals import IRREGULAR

LONGEST = 100  # characters of a name

# classes of what nobody looked at, or could name
NO_OBJECTS = frozenset(
    (
        "other", "unknown", "unlabeled", "unlabelled", "unclassified", "misc", "miscellaneous", "background",
        "ignore", "ignored", "ignored region", "ignore region", "void", "none", "n/a", "dontcare",
    )
)  # fmt: skip
# nobody counts two of these
_MASSES = frozenset(
    (
        "agriculture", "asphalt", "bareland", "concrete", "cropland", "debris", "farmland", "foliage",
        "forestry", "grass", "grassland", "greenery", "ground", "gravel", "ice", "infrastructure", "land",
        "machinery", "mud", "pavement", "rangeland", "sand", "scrub", "seawater", "smoke", "snow", "soil",
        "terrain", "traffic", "transportation", "turf", "vegetation", "wasteland", "water", "rubble",
    )
)  # fmt: skip
# one and several are the same word
_SAME = frozenset(
    (
        "aircraft", "barracks", "cattle", "crossroads", "deer", "fish", "gallows", "headquarters", "means",
        "premises", "series", "sheep", "species", "stairs", "works", "hovercraft", "spacecraft", "watercraft",
    )
)  # fmt: skip
_SINGULARS = {many: one for one, many in IRREGULAR.items() if many != "bases"} | {
    "caches": "cache",
    "others": "other",
}
_ENDS_WITH_S = frozenset(
    (
        "bus", "gas", "lens", "canvas", "atlas", "chassis", "news", "sports", "tennis", "always", "christmas",
    )
)  # fmt: skip

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPACES = re.compile(r"[\s_\-‐‑–]+")
_PERHAPS_PLURAL = re.compile(r"\(e?s\)", re.IGNORECASE)  # of "car(s)"
_BRACKETED = re.compile(r"^([^()]+)\(([^()]+)\)\s*$")
_VOWEL = re.compile(r"[AEIOUY]")
_DIGIT = re.compile(r"\d")


@lru_cache(4096)
def singular(name: str) -> str:
    """A class's name as a graph writes it; "" if nothing that can be read is in it."""
    name = "".join(
        " " if unicodedata.category(c)[0] in "CZ" else c for c in unicodedata.normalize("NFC", name)
    )
    pieces = _SPACES.sub(" ", _BRACKETED.sub(r"\2 \1", _PERHAPS_PLURAL.sub("", name))).split()
    words = [word for piece in pieces for word in _words(piece)]
    if words[0:1] == ["other"] and len(words) > 1:
        words = words[1:]
    if not any(character.isalnum() for word in words for character in word):
        return ""
    if all(word.isdecimal() for word in words):
        words = ["class", *words]
    words[-1] = _one(words[-1])
    return " ".join(words)[:LONGEST].strip()


def has_plural(name: str) -> bool:
    """Whether the plural is a word that a person would say: not of "water", nor of codes as "GTF"."""
    last = name.rsplit(" ", 1)[-1]
    return last.isalpha() and last.isascii() and last.islower() and last not in _MASSES


def _words(piece: str) -> list[str]:
    """The words of a name's piece without spaces; codes as they are, everything else in small letters."""
    return [word if _is_code(word) else word.lower() for word in _CAMEL.sub(" ", piece).split()]


def _is_code(word: str) -> bool:
    if _DIGIT.search(word):
        return word.upper() == word or not word.isascii()
    return (
        word.isascii() and word.isupper() and (len(word) == 2 or (len(word) > 1 and not _VOWEL.search(word)))
    )


def _one(word: str) -> str:
    """The singular of a word, by the rules of `pluralise` read backwards."""
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word in _SAME or word in _ENDS_WITH_S or len(word) < 4 or not word.isalpha():
        return word
    if not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zzes", "ches", "shes")):
        return word[:-2]
    if word.endswith("uses") and not word.endswith(("ouses", "auses")):
        return word[:-2]
    return word[:-1]
