"""A caption as a row of labelled items: known phrases, numbers, positions, small words."""

from collections.abc import Container, Sequence
from dataclasses import dataclass

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import CLASSES, Kind
from pipeline.faithfulness.labels import is_grammar
from pipeline.faithfulness.vocabulary import Phrase, Vocabulary, tokenise
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
_POSSESSIVES = ("its", "their")
_AFTER_POSITION = (*CLASSES["SEPARATOR"], *CLASSES["COPULA"], Kind.STOP, Kind.LINK, Kind.RELATIVE, Kind.VERB, Kind.FUNCTION)
_AFTER_OTHER = (*_AFTER_POSITION, *CLASSES["POSITION"], Kind.RELATION, Kind.PREPOSITION)
MOST_JOINED = 4  # words of a text that one word of a label may stand for
_CONJUNCTION_STARTS = {phrase[0] for phrase in words.CONJUNCTION_PHRASES}
_KIND_OF = {word: kind for kind, group in reversed(_SMALL_WORDS) for word in group}
_ASIDE = {"left": ("left", "of"), "right": ("right", "of"), "top": ("above",), "bottom": ("below",)}
_VALUE_OF = words.VAGUE | {word: words.cell_of([word]) or "" for word in words.POSITION_WORDS}


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


def items_of(text: str, vocabulary: Vocabulary) -> list[Item]:
    """Label a text from left to right, the longest phrase first."""
    tokens = _without_idle(_split(tokenise(text), vocabulary), vocabulary)
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if length := _conjunction(tokens, at):
            items.append(Item(Kind.AND, " ".join(tokens[at : at + length])))
            at += length
            continue
        phrase = _phrase(tokens, at, vocabulary) if token in vocabulary.lengths else None
        item, length = _position(tokens, at, vocabulary) if token in words.POSITION_STARTS else (None, 0)
        if item is None or (phrase is not None and _relates(phrase, tokens, at, vocabulary)):
            spelt = _spelt_otherwise(tokens, at, vocabulary, len(phrase.tokens) if phrase else 0)
            if spelt is not None:
                item, length = spelt
            elif phrase is None:
                item, length = _small_word(tokens, at), 1
                if item.kind == Kind.WORD and token in vocabulary.scene_heads and _is_picture(tokens, at, vocabulary):
                    item.kind = Kind.PICTURE
            else:
                item = Item(phrase.kind, " ".join(phrase.tokens), phrase.value, phrase=phrase)
                length = len(phrase.tokens)
        items.append(item)
        at += length
    for before, item, after in zip(items, items[1:], [*items[2:], None], strict=False):
        if item.text == "one" and before.kind == Kind.ATTRIBUTE and (after is None or after.kind in _AFTER_OTHER):
            item.kind, item.number = Kind.ONES, None  # "the blue one"
        elif item.kind == Kind.THESE and (after is None or after.kind in (Kind.COMMA, Kind.STOP, Kind.AND)):
            item.kind = Kind.PRONOUN  # "below these"
        elif item.text in words.COLLECTIVE_NAMES and (
            before.kind == Kind.NAME or (after is not None and after.kind in (Kind.THE, Kind.SIDE, Kind.SIDE_OF))
        ):
            item.kind, item.phrase = Kind.VERB, None  # "Trees line the road"
    return items


def _conjunction(tokens: Sequence[str], at: int) -> int:
    """The length of "as well as" and the like; 0 where none stands here."""
    if tokens[at] not in _CONJUNCTION_STARTS:
        return 0
    phrases = (phrase for phrase in words.CONJUNCTION_PHRASES if tuple(tokens[at : at + len(phrase)]) == phrase)
    return len(next(phrases, ()))


def _spelt_otherwise(
    tokens: Sequence[str], at: int, vocabulary: Vocabulary, longer_than: int
) -> tuple[Item, int] | None:
    """A phrase whose words are joined or parted here: "groundtrackfield", "tennis court" of "tenniscourt"."""
    if tokens[at] in _KIND_OF or tokens[at][:3] not in vocabulary.joined_heads:
        return None
    letters = ""
    for length, token in enumerate(tokens[at : at + MOST_JOINED], 1):
        letters += token
        if length > max(longer_than, 1) and letters in vocabulary.scene_letters:
            return Item(Kind.PICTURE, " ".join(tokens[at : at + length])), length
        phrase = vocabulary.joined.get(letters) if length > longer_than else None
        apart = [(token,) in vocabulary.phrases for token in tokens[at : at + length]]
        if phrase is None or len(phrase.tokens) == length or (phrase.kind == Kind.NAME and all(apart)):
            continue  # "green houses" are no "greenhouse"
        return Item(phrase.kind, " ".join(phrase.tokens), phrase.value, phrase=phrase), length
    return None


def _phrase(tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> Phrase | None:
    """The longest phrase here, where no small word stands: "a row of", "one of", "a lot"."""
    phrase = next(vocabulary.phrases_at(tokens, at), None)
    before, after = tokens[at - 1 : at], tokens[at + 1 : at + 2]
    if phrase is None or len(phrase.tokens) > 1:
        return phrase
    if phrase.tokens[0] in words.COLLECTIVES and (
        after == ["of"] or (phrase.short and words.DEFINITE.isdisjoint(before))
    ):
        return None
    if after == [words.NO_NAME_BEFORE.get(phrase.tokens[0])]:
        return None
    if phrase.tokens == ("by",) and "".join(before).endswith("ed"):
        return None  # "flanked by"
    if phrase.tokens == ("of",) and before and is_grammar(tuple(before)):
        return None
    return phrase


def _relates(phrase: Phrase, tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> bool:
    """Whether a phrase relates objects: "left of the hangar" does, "left of the image" does not."""
    relation = phrase.kind == Kind.RELATION and phrase.tokens[-1] == "of"
    return relation and not _is_picture(tokens, at + len(phrase.tokens), vocabulary)


def _without_idle(tokens: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Without "size" of "medium size", "in color" of "red in color", "the color" of "the color red"."""
    out: list[str] = []
    for token in tokens:
        if token in words.LOOKS_NOUNS and out:
            if out[-1] == "the":
                out.pop()
                continue
            if out[-1] == "in" and len(out) > 1:
                out.pop()
                continue
            phrase = vocabulary.phrases.get((out[-1],))
            if phrase is not None and phrase.kind == Kind.ATTRIBUTE:
                continue
        out.append(token)
    return out


def _split(tokens: list[str], vocabulary: Vocabulary) -> list[str]:
    """Split hyphenated words whose pieces are known: "upper-left", "tennis-court", "twenty-one"."""
    out = []
    for token in tokens:
        if not words.HYPHEN.search(token):
            out += words.CONTRACTIONS.get(token, (token,))
            continue
        pieces = words.HYPHEN.split(token)
        first, last = pieces[0], pieces[-1]
        whole = "-".join(pieces)
        if whole in vocabulary.lengths or whole in words.POSITION_WORDS:
            out.append(whole)
        elif tuple(pieces) in vocabulary.phrases or all(
            piece in words.POSITION_WORDS or piece in words.POSITION_TAILS for piece in pieces
        ):
            out += pieces
        elif len(pieces) == 2 and first in words.NUMBERS and last in words.NUMBERS:
            out.append(str(words.NUMBERS[first] + words.NUMBERS[last]))
        elif last in ("coloured", "colored", "sized", "shaped") and first in vocabulary.lengths:
            out += pieces[:-1]
        else:
            out.append(whole)
    return out


def _position(tokens: Sequence[str], start: int, vocabulary: Vocabulary) -> tuple[Item | None, int]:
    """A position in the picture that is named here, and its length in tokens.

    "at the top left", "in the upper-left corner of the image"; without preposition "the left side".
    "to the left of the hangar" is not one: it relates two objects.
    """
    preposition = tokens[start] in words.PREPOSITIONS
    determiner = "".join(tokens[start + preposition : start + preposition + 1])
    article = determiner == "the" or (preposition and determiner in _POSSESSIVES)
    owner = tokens[start + preposition + 1 : start + preposition + 2]
    if determiner == "the" and owner and owner[0].endswith("'s") and _is_picture((owner[0][:-2],), 0, vocabulary):
        start += 1  # "in the airport's top left corner"
    first = _skip(tokens, start + preposition + article, words.POSITION_DEGREES)
    last = _skip(tokens, first, words.POSITION_WORDS)
    if first == last:
        return None, 0
    cell = words.cell_of(tokens[first:last])
    if cell is None or _begins_name(tokens, first, last - first, vocabulary):
        return None, 0
    end = _skip(tokens, last, words.POSITION_TAILS)
    alone = not preposition and last - first == 1 and end == last
    kind = Kind.AT if preposition else Kind.SIDE
    if determiner in _POSSESSIVES and cell in _ASIDE and end == last and tokens[end : end + 1] != ["of"]:
        text, phrase = " ".join(tokens[start:end]), vocabulary.phrases.get(_ASIDE[cell])
        return Item(Kind.ASIDE if phrase else kind, text, cell, phrase=phrase), end - start
    if end + 1 < len(tokens) and tokens[end] == "of":
        if not _is_picture(tokens, end + 1, vocabulary):
            # "at the center of the harbor" may still be a position: what follows decides
            kind = Kind.AT_OF if preposition else Kind.SIDE_OF
            return Item(kind, " ".join(tokens[start:end]), cell), end - start
        end, alone = _skip(tokens, end + 1, ("the", "this", "aerial")) + 1, False
    if alone and article and _kind_at(tokens, end) not in _AFTER_POSITION:
        return None, 0  # "the left car", "the center line"
    return Item(kind, " ".join(tokens[start:end]), cell), end - start


def _kind_at(tokens: Sequence[str], at: int) -> Kind:
    """The kind of a small word; the end of the text is a stop."""
    return _KIND_OF.get(tokens[at], Kind.WORD) if at < len(tokens) else Kind.STOP


def _skip(tokens: Sequence[str], at: int, group: Container[str]) -> int:
    """The first token from `at` on that is not in `group`."""
    while at < len(tokens) and tokens[at] in group:
        at += 1
    return at


def _is_picture(tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> bool:
    """Whether the picture or its scene is named here."""
    at = _skip(tokens, at, ("of", "the", "this", "aerial", "whole", "entire"))
    if at == len(tokens):
        return False
    heads = vocabulary.scene_heads.get(tokens[at], ())
    return tokens[at] in words.PICTURE_WORDS or any(
        tuple(tokens[at : at + len(head)]) == head for head in heads
    )


def _begins_name(tokens: Sequence[str], at: int, length: int, vocabulary: Vocabulary) -> bool:
    """Whether a name longer than these position words starts with them ("center pivot")."""
    return any(
        phrase.kind == Kind.NAME and len(phrase.tokens) > length
        for phrase in vocabulary.phrases_at(tokens, at)
    )


def _small_word(tokens: Sequence[str], at: int) -> Item:
    token = tokens[at]
    if token in words.COLLECTIVES and tokens[at + 1 : at + 2] == ["of"]:
        quantity = words.COLLECTIVES[token]
        number = quantity if isinstance(quantity, int) else None
        return Item(Kind.COLLECTIVE, token, "" if number else str(quantity or ""), number)
    if not token.isalpha() and (number := count_of(quantity_of(token) or "")) is not None:
        return Item(Kind.NUMBER, token, number=number)
    kind = _KIND_OF.get(token, Kind.WORD)
    if token in words.ONE - {"one"} and _kind_at(tokens, at + 1) in _AFTER_OTHER:
        kind = Kind.ONES  # "the other is blue"
    if token == "that" and words.COPULAS.isdisjoint(tokens[at + 1 : at + 2]):
        kind = Kind.OTHER
    return Item(kind, token, _VALUE_OF.get(token, ""), words.NUMBERS.get(token))
