"""Plurals of names."""

# the words of archives whose plural no rule gives
IRREGULAR = {
    "man": "men", "woman": "women", "person": "people", "child": "children", "goose": "geese", "foot": "feet",
    "mouse": "mice", "leaf": "leaves", "roof": "roofs", "half": "halves", "shelf": "shelves",
    "wharf": "wharves", "calf": "calves", "wolf": "wolves", "loaf": "loaves", "axis": "axes",
    "aircraft": "aircraft", "watercraft": "watercraft", "hovercraft": "hovercraft",
    "spacecraft": "spacecraft", "sheep": "sheep", "deer": "deer", "fish": "fish", "cattle": "cattle",
    "series": "series", "silo": "silos", "bus": "buses", "gas": "gases", "lens": "lenses",
    "quay": "quays", "potato": "potatoes", "tomato": "tomatoes", "volcano": "volcanoes",
    "crisis": "crises", "oasis": "oases", "basis": "bases", "quiz": "quizzes",
}  # fmt: skip
_PLURALS = frozenset(IRREGULAR.values())
_VOWELS = "aeiou"


def pluralise(name: str) -> str:
    """The plural of a name's last word; a word that is a plural already stays.

    By the regular rules, consonant + y becomes -ies; s, x, z, ch and sh take -es; everything else takes -s. A
    word that ends with a single s (but not -us or -is) is taken for a plural.
    """
    start = name.rfind(" ") + 1
    last = name[start:].lower()
    if last in IRREGULAR:  # the first letter stays, in its case
        return name[: start + 1] + IRREGULAR[last][1:]
    if last in _PLURALS:
        return name
    if last.endswith("y") and last[-2:-1].isalpha() and last[-2] not in _VOWELS:
        return name[:-1] + "ies"
    if last.endswith("s") and not last.endswith(("ss", "us", "is")):
        return name
    return name + ("es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s")
