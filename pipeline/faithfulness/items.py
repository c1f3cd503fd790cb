"""A caption as a row of labelled items: known phrases, numbers, positions, small words."""

from collections.abc import Sequence

from pipeline.faithfulness import words
from pipeline.faithfulness.grammar import CLASSES, PLACE_IN_NAME, SHAPED, Kind
from pipeline.faithfulness.labels import is_grammar
from pipeline.faithfulness.positions import is_picture, position_at
from pipeline.faithfulness.small_words import Item, fixed_phrase, kind_at, small_word
from pipeline.faithfulness.tokens import tokens_of
from pipeline.faithfulness.vocabulary import Phrase, Vocabulary

__all__ = ["Item", "items_of"]

MOST_JOINED = 4  # words of a text that one word of a label may stand for


def items_of(text: str, vocabulary: Vocabulary) -> list[Item]:
    """Label a text from left to right, the longest phrase first."""
    tokens = tokens_of(text, vocabulary)
    items: list[Item] = []
    at = 0
    while at < len(tokens):
        item, length = _item_at(tokens, at, vocabulary)
        items.append(item)
        at += length
    _reread(items, vocabulary)
    return items


def _item_at(tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> tuple[Item, int]:
    """The item that begins here, and its length in tokens."""
    token = tokens[at]
    fixed = fixed_phrase(tokens, at)
    if fixed is not None:
        related = fixed.kind == Kind.MADE_OF and tuple(fixed.text.split()) in vocabulary.phrases
        if not related:  # a graph may say it as a relation
            return fixed, fixed.text.count(" ") + 1
    phrase = _phrase(tokens, at, vocabulary) if token in vocabulary.lengths else None
    if token in words.POSITION_STARTS and not (phrase and _relates(phrase, tokens, at, vocabulary)):
        position, length = position_at(tokens, at, vocabulary)
        if position is not None:
            return position, length
    spelt = _spelt_otherwise(tokens, at, vocabulary, len(phrase.tokens) if phrase else 0)
    if spelt is not None:
        return spelt
    if phrase is not None and not _is_verb_with_place(phrase, tokens, at, vocabulary):
        item = Item(phrase.kind, " ".join(phrase.tokens), phrase.value, phrase=phrase)
        return item, len(phrase.tokens)
    item = small_word(tokens, at)
    if item.kind == Kind.WORD and token in vocabulary.scene_heads and is_picture(tokens, at, vocabulary):
        item.kind = Kind.PICTURE
    return item, 1


def _reread(items: Sequence[Item], vocabulary: Vocabulary) -> None:
    """Change the kind of words that mean something else between their neighbours."""
    kinds = "".join([item.kind for item in items])
    for at, item in enumerate(items):
        name = vocabulary.named_shapes.get((item.text,))
        if name is not None and _is_noun(kinds, at):
            item.kind, item.value, item.phrase = Kind.NAME, name.value, name
        elif item.text in words.NOUNS_AND_VERBS and not _is_noun(kinds, at):
            item.kind, item.phrase = Kind.VERB, None  # "Two trees stand at the left"
    for match in PLACE_IN_NAME.finditer(kinds):
        item = items[match.end() - 1]
        if item.text in vocabulary.scenes:
            item.kind, item.phrase = Kind.PICTURE, None  # "at the top of the park"
    for before, item, after in zip(items, items[1:], [*items[2:], None], strict=False):
        next_kind = after.kind if after is not None else Kind.STOP
        if item.text == "one" and before.kind == Kind.ATTRIBUTE and next_kind in CLASSES["AFTER_ONE"]:
            item.kind, item.number = Kind.ONES, None  # "the blue one"
        elif (
            item.kind == Kind.NUMBER
            and before.text in ("another", "other")
            and next_kind in CLASSES["AFTER_ONE"]
        ):
            item.kind = Kind.ONES  # "another one", "the other two"
        elif item.text == "more" and before.kind in CLASSES["QUANTITY"] and next_kind in CLASSES["AFTER_ONE"]:
            item.kind = Kind.ONES  # "and three more at the right"
        elif item.text == "those" and next_kind in CLASSES["PLACE"]:
            item.kind = Kind.ONES  # "those at the bottom"
        elif item.text == "that" and before.kind == Kind.NAME:
            item.kind = Kind.RELATIVE  # "a road that winds"
        elif item.kind == Kind.THESE and next_kind in (Kind.COMMA, Kind.STOP, Kind.AND):
            item.kind = Kind.PRONOUN  # "below these"
        elif (
            item.kind == Kind.ALL
            and before.kind in CLASSES["CLAUSE_START"]
            and next_kind in CLASSES["COPULA"]
        ):
            item.kind = Kind.PRONOUN  # "and each of them is red"
        elif item.text in words.COLLECTIVE_NAMES and (
            before.kind == Kind.NAME or next_kind in (Kind.THE, Kind.SIDE, Kind.SIDE_OF)
        ):
            item.kind, item.phrase = Kind.VERB, None  # "Trees line the road"
        elif (
            item.kind == Kind.RELATION
            and item.text in words.HAVING
            and before.kind in CLASSES["BARE_POSITION"]
        ):
            item.kind, item.phrase = Kind.FUNCTION, None  # "The top left corner contains a car"
        elif (
            item.text in words.VERB_NAMES
            and before.kind in CLASSES["NOUN_BEFORE_VERB"]
            and next_kind in (Kind.OTHER, Kind.NUMBER, Kind.VAGUE, Kind.THE)
        ):
            item.kind, item.phrase = Kind.VERB, None  # "The farm houses two cows"


def _is_noun(kinds: str, at: int) -> bool:
    """Whether a word is a name here: "a large square at the left", but not "square roofs", "is square"."""
    before = kinds[:at].rstrip(Kind.ATTRIBUTE + Kind.COMMA)[-1:]
    opened = before != "" and before in (Kind.THE, Kind.THESE, Kind.OTHER, Kind.NUMBER, Kind.VAGUE)
    return opened and not SHAPED.match(kinds, at + 1)


def _spelt_otherwise(
    tokens: Sequence[str], at: int, vocabulary: Vocabulary, longer_than: int
) -> tuple[Item, int] | None:
    """A phrase whose words are joined or parted here: "groundtrackfield", "tennis court" of "tenniscourt"."""
    if kind_at(tokens, at) != Kind.WORD or tokens[at][:3] not in vocabulary.joined_heads:
        return None
    letters = ""
    for length, token in enumerate(tokens[at : at + MOST_JOINED], 1):
        letters += token
        if length > max(longer_than, 1) and letters in vocabulary.scene_letters:
            return Item(Kind.PICTURE, " ".join(tokens[at : at + length])), length
        phrase = vocabulary.joined.get(letters) if length > longer_than else None
        if phrase is None or len(phrase.tokens) == length:
            continue
        apart = ((word,) in vocabulary.phrases for word in tokens[at : at + length])
        if phrase.kind == Kind.NAME and all(apart):
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
    if phrase.tokens[0] in words.INSIDE and is_picture(tokens, at + 1, vocabulary):
        return None  # "in this park"
    if phrase.tokens == ("in",) and tuple(tokens[at + 1 : at + 3]) in words.ROWS:
        return None
    if after == [words.NO_NAME_BEFORE.get(phrase.tokens[0])]:
        return None
    if phrase.tokens == ("by",) and "".join(before).endswith("ed"):
        return None  # "flanked by"
    if phrase.tokens == ("of",) and before and is_grammar(tuple(before)):
        return None
    return phrase


def _is_verb_with_place(phrase: Phrase, tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> bool:
    """Whether a predicate is a verb before a position here: "parked on the right"."""
    if phrase.kind != Kind.RELATION or len(phrase.tokens) < 2 or phrase.tokens[-1] not in words.PREPOSITIONS:
        return False
    position, _ = position_at(tokens, at + len(phrase.tokens) - 1, vocabulary)
    return position is not None and position.kind == Kind.AT and kind_at(tokens, at) == Kind.VERB


def _relates(phrase: Phrase, tokens: Sequence[str], at: int, vocabulary: Vocabulary) -> bool:
    """Whether a phrase relates objects: "left of the hangar" does, "left of the image" does not."""
    relation = phrase.kind == Kind.RELATION and phrase.tokens[-1] == "of"
    return relation and not is_picture(tokens, at + len(phrase.tokens), vocabulary)
