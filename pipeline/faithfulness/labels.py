"""Labels of graphs as the words that a text is searched for; a label that cannot be searched for has none.

Hyphens, underscores, slashes and other punctuation in a label are spaces; so is the joint of CamelCase.
"Car(s)" is "car". Articles and the like at its ends do not count: "the car" is "car". A label cannot be
searched for if nothing but words of the checker's own grammar is left of it ("the", "2", "near", "scene"), if
it denies or joins things ("no cars", "cars and trees"), or if it is very long. Such words stand in captions
of every image: looked for as a label of one graph, they would change what the check says of all the others.
"""

import re
import unicodedata
from collections.abc import Set
from functools import lru_cache

from pipeline.faithfulness import words

Words = tuple[str, ...]

LONGEST = 200  # characters of a label that is searched for
_PERHAPS_PLURAL = re.compile(r"\(e?s\)", re.IGNORECASE)  # of "car(s)"
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[&+]")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")

_JOINING = words.CONJUNCTIONS | words.NEGATIONS | words.RELATIVES | {"or", "it", "they", "them"}
_BEING = frozenset(("is", "are", "was", "were", "be", "been", "being"))
_PLACING = words.PREPOSITIONS | {
    "above", "adjacent", "alongside", "behind", "below", "beneath", "beside", "between", "next", "of", "on",
    "opposite", "over", "under", "underneath", "upon", "with",
}  # fmt: skip
_RELATING = frozenset(
    word for group in words.PREDICATE_CLASSES for form, _ in group for word in form.split()
) | frozenset(("has", "have", "having"))
_JOINED = {
    form.replace(" ", ""): tuple(form.split())
    for group in words.PREDICATE_CLASSES
    for form, _ in group
    if form.count(" ") == 1
}
_LOOKS = words.COMMON_ATTRIBUTES | {
    word for group in words.ATTRIBUTE_SYNONYMS for form in group for word in words.HYPHEN.split(form)
}
_NO_NAME_LOOKS = _LOOKS - words.NAMED_SHAPES
_GRAMMAR = frozenset(
    {
        *words.NUMBERS, *words.VAGUE, *words.COLLECTIVES, *words.COPULAS, *words.RELATIVES, *words.PRONOUNS,
        *words.DETERMINERS, *words.NEGATIONS, *words.CONJUNCTIONS, *words.PREPOSITIONS, *words.FUNCTION_WORDS,
        *words.VERBS, *words.PICTURE_WORDS, *words.POSITION_WORDS, *words.POSITION_TAILS,
        *words.POSITION_DEGREES, "ones", "others", "scenes",
    }
)  # fmt: skip
_NO_NAME = (_GRAMMAR | _RELATING) - words.COLLECTIVE_NAMES
_NO_PREDICATE = _GRAMMAR - (_PLACING | (_RELATING - words.POSITION_WORDS - words.DETERMINERS - {"side"}))
_BEFORE_ATTRIBUTE = words.DETERMINERS | _BEING | words.DEGREES
_AROUND_NAME = words.DETERMINERS | _BEING | _PLACING | (_JOINING - words.NEGATIONS)
_BEFORE_NAME = _AROUND_NAME | words.NUMBERS.keys() | words.VAGUE.keys()
_AFTER_NAME = _AROUND_NAME | {"scene", "scenes"}


def plain(text: str) -> str:
    """A text in lower case, each character in its composed form: macOS writes é as two."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", text).lower().replace("i\u0307", "i")  # of the Turkish capital


def plain_label(label: str) -> str:
    """A label in lower case, CamelCase as words."""
    return plain(_CAMEL.sub(" ", label))


@lru_cache(4096)
def name_words(name: str) -> Words:
    """The words of an object's name; none if it cannot be searched for. "a row of trees" is "trees"."""
    found = _words(name)
    while found and (
        found[0] in _BEFORE_NAME
        or found[0].isnumeric()
        or (found[0] in words.COLLECTIVES and found[1:2] == ("of",))
    ):
        found = found[1:]
    return _searched(_without_end(found, _AFTER_NAME), _NO_NAME, _NO_NAME_LOOKS)


@lru_cache(4096)
def attribute_words(attribute: str) -> Words:
    """The same of an attribute: "very large" is "large". None where a comma joins several."""
    if "," in attribute:
        return ()
    return _searched(_without_start(_words(attribute), _BEFORE_ATTRIBUTE), _NO_NAME - _LOOKS)


@lru_cache(4096)
def predicate_words(predicate: str) -> Words:
    """The same of a predicate: "is on the" is "on"."""
    found = _without_start(_words(predicate), words.DETERMINERS | _BEING | words.RELATIVES)
    return _searched(_without_end(found, words.DETERMINERS), _NO_PREDICATE | _LOOKS)


@lru_cache(4096)
def words_of_scene(scene: str) -> Words:
    """The same of a scene."""
    return _searched(_words(scene), _GRAMMAR | _RELATING, _LOOKS)


def is_grammar(tokens: Words) -> bool:
    """Whether a form of a name is a word that captions need for other things: the plural of "i" is "is"."""
    return _all_in(_NO_NAME, tokens) or _all_in(_NO_NAME_LOOKS, tokens)


def _words(label: str) -> Words:
    if len(label) > LONGEST:
        return ()
    found = (word.replace("’", "'") for word in _WORD.findall(plain_label(_PERHAPS_PLURAL.sub("", label))))
    return tuple(word for piece in found for word in _JOINED.get(piece, (piece,)))


def _without_start(found: Words, group: Set[str]) -> Words:
    while found and found[0] in group:
        found = found[1:]
    return found


def _without_end(found: Words, group: Set[str]) -> Words:
    while found and found[-1] in group:
        found = found[:-1]
    return found


def _searched(found: Words, *grammar: Set[str]) -> Words:
    if not _JOINING.isdisjoint(found) or any(_all_in(group, found) for group in grammar):
        return ()
    return found


def _all_in(group: Set[str], found: Words) -> bool:
    return all(word in group or word.isnumeric() for word in found)
