"""The words of a text that are no phrase of its dataset, as items: numbers, determiners, small words."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import CLASSES, Kind
from pipeline.faithfulness.vocabulary import Phrase
from pipeline.graph.scene_graph import count_of, quantity_of

_SMALL_WORDS = (  # a word is of the first kind that lists it
    (Kind.STOP, words.STOPS),
    (Kind.COMMA, ","),
    (Kind.COLON, ":"),
    (Kind.SEMICOLON, ";"),
    (Kind.BRACKET, "()"),
    (Kind.SLASH, "/"),
    (Kind.NUMBER, words.NUMBERS),
    (Kind.VAGUE, words.VAGUE),
    (Kind.NO, ("no", "without")),
    (Kind.NEITHER, ("neither", "nor")),
    (Kind.NOT, words.NEGATIONS),
    (Kind.ARE, words.PLURAL_COPULAS),
    (Kind.IS, words.COPULAS),
    (Kind.AND, words.CONJUNCTIONS),
    (Kind.OR, ("or",)),
    (Kind.OF, ("of",)),
    (Kind.RELATIVE, words.RELATIVES),
    (Kind.PRONOUN, ("it", "they", "them")),
    (Kind.THE, ("the",)),
    (Kind.THESE, ("these", "those")),
    (Kind.BOTH, ("both",)),
    (Kind.ALL, ("all", "each")),
    (Kind.OTHER, words.DETERMINERS),
    (Kind.PREPOSITION, words.PREPOSITIONS),
    (Kind.VERB, words.VERBS),
    (Kind.LINK, ("with", "where")),
    (Kind.FUNCTION, words.FUNCTION_WORDS),
    (Kind.SIDE, words.POSITION_WORDS),
    (Kind.ONES, ("ones", "others")),
    (Kind.PICTURE, words.PICTURE_WORDS),
)
_KIND_OF = {word: kind for kind, group in reversed(_SMALL_WORDS) for word in group}
_VALUE_OF = words.VAGUE | {word: words.cell_of([word]) or "" for word in words.POSITION_WORDS}
_FIXED_PHRASES: dict[str, list[tuple[tuple[str, ...], Kind]]] = defaultdict(list)
for _kind, _phrases in (
    (Kind.AND, words.CONJUNCTION_PHRASES),
    (Kind.FUNCTION, words.IDLE_PHRASES),
    (Kind.PRONOUN, words.PRONOUN_PHRASES),
    (Kind.ALL, words.EACH_PHRASES),
    (Kind.BOTH, words.BOTH_PHRASES),
    (Kind.MADE_OF, words.MATERIAL_PHRASES),
):
    for _text in _phrases:
        _FIXED_PHRASES[_text.split()[0]].append((tuple(_text.split()), _kind))


@dataclass(slots=True)
class Item:
    """One or several words of a text.

    Attributes:
        value: what they stand for: a name, an attribute or a predicate as the graphs write it, a position,
            a class of vague quantities.
        phrase: the phrase of the vocabulary that they are.
    """

    kind: Kind
    text: str
    value: str = ""
    number: int | None = None
    phrase: Phrase | None = None


def small_word(tokens: Sequence[str], at: int) -> Item:
    """The item of one token."""
    token, after = tokens[at], tokens[at + 1 : at + 2]
    if token in words.COLLECTIVES and after == ["of"]:
        quantity = words.COLLECTIVES[token]
        number = quantity if isinstance(quantity, int) else None
        return Item(Kind.COLLECTIVE, token, "" if number else str(quantity or ""), number)
    if not token.isalpha() and (number := count_of(quantity_of(token) or "")) is not None:
        return Item(Kind.NUMBER, token, number=number)
    kind = _KIND_OF.get(token, Kind.WORD)
    if token in words.ALONE and at and words.NUMBERS.get(tokens[at - 1]) == 1:
        return Item(Kind.WORD, token)  # "one lone tree"
    if token in words.ONE - {"one"} and kind_at(tokens, at + 1) in CLASSES["AFTER_ONE"]:
        kind = Kind.ONES  # "the other is blue"
    if token == "that" and words.COPULAS.isdisjoint(after) and words.ARTICLES.isdisjoint(after):
        kind = Kind.OTHER
    return Item(kind, token, _VALUE_OF.get(token, ""), words.NUMBERS.get(token))


def fixed_phrase(tokens: Sequence[str], at: int) -> Item | None:
    """Several words that are read as one small word: "as well as" as "and"."""
    for phrase, kind in _FIXED_PHRASES.get(tokens[at], ()):
        if tuple(tokens[at : at + len(phrase)]) == phrase:
            return Item(kind, " ".join(phrase))
    return None


def kind_at(tokens: Sequence[str], at: int) -> Kind:
    """The kind of a small word; the end of the text is a stop."""
    return _KIND_OF.get(tokens[at], Kind.WORD) if at < len(tokens) else Kind.STOP
