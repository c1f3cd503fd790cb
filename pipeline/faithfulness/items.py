"""A caption as a row of labelled items: known phrases, numbers, places, small words."""

from dataclasses import dataclass

from pipeline.faithfulness import words
from pipeline.faithfulness.vocabulary import Phrase, Vocabulary, tokenise

NAME, ATTRIBUTE, PREDICATE, PLACE = "name", "attribute", "predicate", "place"
NUMBER, VAGUE, COLLECTIVE = "number", "vague", "collective"
DETERMINER, NEGATION, COPULA, RELATIVE, PRONOUN = "determiner", "negation", "copula", "relative", "pronoun"
AND, COMMA, STOP, OF, PREPOSITION, FUNCTION, VERB, WORD = (
    "and", "comma", "stop", "of", "preposition", "function", "verb", "word",
)  # fmt: skip


@dataclass(slots=True)
class Item:
    """`text` is the word; `value` what it stands for: a number, a class of quantities, a phrase."""

    kind: str
    text: str
    value: object = None
    cell: str = ""  # of a place, in the 3 x 3 grid
    bare: bool = False  # a place without a preposition
    of: bool = False  # a place followed by "of" and something that may be an object

    @property
    def phrase(self) -> Phrase:
        assert isinstance(self.value, Phrase)
        return self.value


def items_of(text: str, vocabulary: Vocabulary) -> list[Item]:
    """Label a text from left to right, the longest phrase first."""
    tokens = _split(tokenise(text), vocabulary)
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        place, length = _place(tokens, at, vocabulary)
        if place is not None and (phrase := _predicate(tokens, at, vocabulary)) is not None:
            after = at + len(phrase.tokens)
            if not _means_picture(tokens, after, vocabulary):
                place = None
        if place is not None:
            items.append(place)
            at += length
            continue
        phrase = _phrase(tokens, at, vocabulary)
        if phrase is not None:
            items.append(Item(phrase.kind, " ".join(phrase.tokens), phrase))
            at += len(phrase.tokens)
            continue
        items.append(_small(tokens, at))
        at += 1
    return items


def _split(tokens: list[str], vocabulary: Vocabulary) -> list[str]:
    """Take hyphenated words apart where their parts are known: "upper-left", "tennis-court", "twenty-one"."""
    out = []
    for token in tokens:
        if "-" not in token and "‑" not in token and "‐" not in token:
            out.append(token)
            continue
        token = token.replace("‑", "-").replace("‐", "-")
        parts = token.split("-")
        whole = token in vocabulary.lengths or token in words.POSITION_WORDS
        places = all(part in words.POSITION_WORDS or part in words.POSITION_TAILS for part in parts)
        numbers = all(part in words.NUMBERS for part in parts)
        named = tuple(parts) in vocabulary.phrases
        coloured = parts[-1] in ("coloured", "colored", "sized", "shaped") and parts[0] in vocabulary.lengths
        if whole:
            out.append(token)
        elif places or named:
            out += parts
        elif numbers and len(parts) == 2:
            out.append(str(words.NUMBERS[parts[0]] + words.NUMBERS[parts[1]]))
        elif coloured:
            out += parts[:-1]
        else:
            out.append(token)
    return out


def _phrase(tokens: list[str], at: int, vocabulary: Vocabulary) -> Phrase | None:
    return next(vocabulary.phrases_at(tokens, at), None)


def _predicate(tokens: list[str], at: int, vocabulary: Vocabulary) -> Phrase | None:
    phrase = _phrase(tokens, at, vocabulary)
    return phrase if phrase is not None and phrase.kind == PREDICATE and phrase.tokens[-1] == "of" else None


def _place(tokens: list[str], at: int, vocabulary: Vocabulary) -> tuple[Item | None, int]:
    """A phrase of place that starts here, and its length in tokens.

    "at the top left", "in the upper-left corner of the image"; without preposition "the left side".
    "to the left of the hangar" is none: it relates two objects.
    """
    end = at
    preposition = tokens[end] in words.PREPOSITIONS
    end += preposition
    determiner = end < len(tokens) and tokens[end] == "the"
    end += determiner
    while end < len(tokens) and tokens[end] in ("far", "very", "extreme"):
        end += 1
    found: list[str] = []
    start = end
    while end < len(tokens) and tokens[end] in words.POSITION_WORDS:
        found.append(tokens[end])
        end += 1
    if not found or _names(tokens, start, len(found), vocabulary):
        return None, 0
    tail = False
    while end < len(tokens) and tokens[end] in words.POSITION_TAILS:
        tail = True
        end += 1
    cell = words.cell_of(found)
    if cell is None:
        return None, 0
    if end + 1 < len(tokens) and tokens[end] == "of":
        if not _means_picture(tokens, end + 1, vocabulary):
            # "at the center of the harbor" may still be a place: whoever reads decides by what follows
            return Item(PLACE, " ".join(tokens[at:end]), cell=cell, bare=not preposition, of=True), end - at
        end += 1
        while end < len(tokens) and tokens[end] in ("the", "this", "aerial"):
            end += 1
        end += 1
    strong = preposition or tail or len(found) > 1
    if not strong and determiner:
        return None, 0  # "the left car", "the center line": the place stands before a noun
    return Item(PLACE, " ".join(tokens[at:end]), cell=cell, bare=not preposition), end - at


def _means_picture(tokens: list[str], at: int, vocabulary: Vocabulary) -> bool:
    while at < len(tokens) and tokens[at] in ("of", "the", "this", "aerial", "whole", "entire"):
        at += 1
    if at >= len(tokens):
        return False
    return tokens[at] in words.PICTURE_WORDS or tokens[at] in vocabulary.scene_words


def _names(tokens: list[str], at: int, length: int, vocabulary: Vocabulary) -> bool:
    """Whether a name starts with these position words ("center pivot")."""
    return any(
        phrase.kind == NAME and len(phrase.tokens) > length for phrase in vocabulary.phrases_at(tokens, at)
    )


def _small(tokens: list[str], at: int) -> Item:
    token = tokens[at]
    after = tokens[at + 1] if at + 1 < len(tokens) else ""
    if token in words.STOPS:
        return Item(STOP, token)
    if token in words.COMMAS:
        return Item(COMMA, token)
    if token in words.COLLECTIVES and after == "of":
        return Item(COLLECTIVE, token, words.COLLECTIVES[token])
    if token.isdecimal() and len(token) < 7:
        return Item(NUMBER, token, int(token))
    if token in words.NUMBERS:
        return Item(NUMBER, token, words.NUMBERS[token])
    if token in words.VAGUE:
        return Item(VAGUE, token, words.VAGUE[token])
    if token in words.NEGATIONS:
        return Item(NEGATION, token)
    if token in words.COPULAS:
        return Item(COPULA, token)
    if token in words.CONJUNCTIONS:
        return Item(AND, token)
    if token == "of":
        return Item(OF, token)
    if token in words.RELATIVES and (after in words.COPULAS or token != "that"):
        return Item(RELATIVE, token)
    if token in ("it", "they", "them"):
        return Item(PRONOUN, token)
    if token in words.DETERMINERS:
        return Item(DETERMINER, token)
    if token in words.PREPOSITIONS:
        return Item(PREPOSITION, token)
    if token in words.VERBS:
        return Item(VERB, token)
    if token in words.FUNCTION_WORDS or token in words.POSITION_WORDS:
        cell = words.cell_of([token]) if token in words.POSITION_WORDS else None
        return Item(PLACE if cell else FUNCTION, token, cell=cell or "", bare=True)
    return Item(WORD, token)
