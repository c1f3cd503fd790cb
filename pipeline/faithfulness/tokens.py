"""A text as tokens: lower-case words and punctuation, hyphenated and contracted words apart."""

from collections.abc import Sequence

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import Kind
from pipeline.faithfulness.vocabulary import Vocabulary, tokenise

_OF_NOUN = (Kind.NAME, Kind.ATTRIBUTE)
_AHEAD = 8  # tokens in which a phrase ends


def tokens_of(text: str, vocabulary: Vocabulary) -> list[str]:
    """The tokens of a text, without idle ones."""
    return _without_idle(_split(tokenise(text), vocabulary), vocabulary)


def _split(tokens: list[str], vocabulary: Vocabulary) -> list[str]:
    """Split hyphenated words whose pieces are known: "upper-left", "tennis-court", "twenty-one"."""
    out: list[str] = []
    for at, token in enumerate(tokens):
        if not words.HYPHEN.search(token):
            out += words.CONTRACTIONS.get(token, (token,))
            continue
        pieces = words.HYPHEN.split(token)
        first, last = pieces[0], pieces[-1]
        whole = "-".join(pieces)
        following = tokens[at + 1 : at + _AHEAD]
        if whole in words.POSITION_WORDS or any(vocabulary.phrases_at([whole, *following], 0)):
            out.append(whole)
        elif tuple(pieces) in vocabulary.phrases or all(
            piece in words.POSITION_WORDS or piece in words.POSITION_TAILS for piece in pieces
        ):
            out += pieces
        elif (
            "and" in pieces[1:-1]
            and whole not in vocabulary.attributes
            and all(piece == "and" or _is_attribute(piece, vocabulary) for piece in pieces)
        ):
            out += pieces  # "black-and-white cows"
        elif len(pieces) == 2 and first in words.NUMBERS and last in words.NUMBERS:
            out.append(str(words.NUMBERS[first] + words.NUMBERS[last]))
        elif last in ("coloured", "colored", "sized", "shaped") and first in vocabulary.lengths:
            out += pieces[:-1]
        else:
            out.append(whole)
    return out


def _without_idle(tokens: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Without "size" of "medium size", "in color" of "red in color", "the color" of "the color red".

    Nor with "very" of "two very large ships".
    """
    out: list[str] = []
    for at, token in enumerate(tokens):
        if token in words.DEGREES and at + 1 < len(tokens) and _is_attribute(tokens[at + 1], vocabulary):
            continue
        if token in words.LOOKS_NOUNS and out:
            if out[-1] == "the":
                out.pop()
                continue
            if out[-1] == "in" and len(out) > 1:
                out.pop()
                continue
            if _is_attribute(out[-1], vocabulary):
                if not any(
                    phrase.kind in _OF_NOUN for phrase in vocabulary.phrases_at([*tokens, "."], at + 1)
                ):
                    _drop_article(out, vocabulary)
                continue
        out.append(token)
    return out


def _drop_article(out: list[str], vocabulary: Vocabulary) -> None:
    """Without "a" of "with a red and white color", which says no number."""
    at = len(out)
    while at and (out[at - 1] in ("and", ",") or _is_attribute(out[at - 1], vocabulary)):
        at -= 1
    if at > 1 and out[at - 1] in words.INDEFINITE_ARTICLES and out[at - 2] in words.BEFORE_LOOKS:
        del out[at - 1]


def _is_attribute(token: str, vocabulary: Vocabulary) -> bool:
    phrase = vocabulary.phrases.get((token,))
    return phrase is not None and phrase.kind == Kind.ATTRIBUTE
