"""Positions in the picture: "at the top left", "in its center", "in the harbor's upper-left corner"."""

from collections.abc import Container, Sequence

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import CLASSES, Kind
from pipeline.faithfulness.small_words import Item, kind_at
from pipeline.faithfulness.vocabulary import Vocabulary

_POSSESSIVES = ("its", "their")
# "to its left" as a relation
_ASIDE = {"left": ("left", "of"), "right": ("right", "of"), "top": ("above",), "bottom": ("below",)}


def position_at(tokens: Sequence[str], start: int, vocabulary: Vocabulary) -> tuple[Item | None, int]:
    """The position that is named here, and its length in tokens.

    "at the top left", "in the upper-left corner of the image"; without preposition "the left side".
    "to the left of the hangar" is not one: it relates two objects.
    """
    preposition = tokens[start] in words.PREPOSITIONS
    determiner = "".join(tokens[start + preposition : start + preposition + 1])
    possessive = preposition and determiner in _POSSESSIVES
    first = start + preposition + (determiner == "the" or possessive)
    if determiner == "the" and _owns(tokens[first : first + 1], vocabulary):
        first += 1
    first = _skip(tokens, first, words.POSITION_DEGREES)
    last = _skip(tokens, first, words.POSITION_WORDS)
    cell = words.cell_of(tokens[first:last]) if last > first else None
    if cell is None or _begins_name(tokens, first, last - first, vocabulary):
        return None, 0
    end = _skip(tokens, last, words.POSITION_TAILS)
    kind, of = (
        Kind.AT if preposition else Kind.SIDE,
        tokens[end : end + 1] == ["of"] and end + 1 < len(tokens),
    )
    if possessive and cell in _ASIDE and end == last and not of:
        phrase = vocabulary.phrases.get(_ASIDE[cell])
        return Item(
            Kind.ASIDE if phrase else kind, " ".join(tokens[start:end]), cell, phrase=phrase
        ), end - start
    if of and not is_picture(tokens, end + 1, vocabulary):
        # "at the center of the harbor" may still be a position: what follows decides
        kind = Kind.AT_OF if preposition else Kind.SIDE_OF
    elif of:
        end = _picture_end(tokens, _skip(tokens, end + 1, ("the", "this", "aerial")), vocabulary) or end
    elif _is_adjective(tokens, start, first, end):
        return None, 0
    return Item(kind, " ".join(tokens[start:end]), cell), end - start


def is_picture(tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> bool:
    """Whether the picture or its scene is named here."""
    return _picture_end(tokens, at, vocabulary) is not None


def _picture_end(tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> int | None:
    """The token after the picture's or its scene's name, if that is here."""
    at = _skip(tokens, at, ("of", "the", "this", "aerial", "whole", "entire"))
    if at == len(tokens):
        return None
    if tokens[at] in words.PICTURE_WORDS:
        return at + 1
    after_article = tokens[at - 1] in ("the", "this") and kind_at(tokens, at + 1) in CLASSES["AFTER_POSITION"]
    if after_article and tokens[at] in vocabulary.scene_ends:
        return at + 1
    heads = vocabulary.scene_heads.get(tokens[at], ())
    return next((at + len(head) for head in heads if tuple(tokens[at : at + len(head)]) == head), None)


def _is_adjective(tokens: Sequence[str], start: int, first: int, end: int) -> bool:
    """Whether a single position word belongs to a noun: "the left car", "the center line"."""
    alone = tokens[start] == "the" and end - first == 1
    return alone and kind_at(tokens, end) not in CLASSES["AFTER_POSITION"]


def _owns(tokens: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether a token is the scene's or the picture's name with its "'s"."""
    return tokens[:1] != [] and tokens[0].endswith("'s") and is_picture([tokens[0][:-2]], 0, vocabulary)


def _begins_name(tokens: Sequence[str], at: int, length: int, vocabulary: Vocabulary) -> bool:
    """Whether a name longer than these position words starts with them ("center pivot")."""
    return any(
        phrase.kind == Kind.NAME and len(phrase.tokens) > length
        for phrase in vocabulary.phrases_at(tokens, at)
    )


def _skip(tokens: Sequence[str], at: int, group: Container[str]) -> int:
    """The first token from `at` on that is not in `group`."""
    while at < len(tokens) and tokens[at] in group:
        at += 1
    return at
