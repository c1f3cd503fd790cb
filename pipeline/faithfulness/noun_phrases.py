"""Noun phrases: "two small red cars", "a row of trees", "no boats", "the white ones"."""

from pipeline.faithfulness.claims import Mention, Passage
from pipeline.faithfulness.items import (
    AND,
    ATTRIBUTE,
    COLLECTIVE,
    COMMA,
    COPULA,
    DETERMINER,
    NAME,
    NEGATION,
    NUMBER,
    OF,
    PLACE,
    RELATIVE,
    STOP,
    VAGUE,
    VERB,
    WORD,
    Item,
)
from pipeline.faithfulness.vocabulary import PLURAL, SINGULAR
from pipeline.graph.verbalise import pluralise


def find_mentions(passage: Passage) -> None:
    """Find the noun phrases that name objects, from left to right."""
    for at, item in enumerate(passage.items):
        if item.kind == NAME:
            if not _is_scene(passage, at):
                passage.mentions.append(_mention(passage, at, item.phrase.value, at + 1))
        elif item.kind in (NUMBER, WORD):
            _elided(passage, at, item)
    passage.mentions.sort(key=lambda mention: mention.end)
    named: set[str] = set()
    for mention in passage.mentions:
        mention.first = mention.name not in named
        named.add(mention.name)


def _is_scene(passage: Passage, at: int) -> bool:
    """As in "A tennis court scene", or "A building scene" of "buildings": what kind of place it is."""
    after = passage.items[at + 1] if at + 1 < len(passage.items) else None
    named, scenes = passage.items[at].text, passage.vocabulary.scenes
    return after is not None and after.text == "scene" and (named in scenes or pluralise(named) in scenes)


def _mention(passage: Passage, at: int, name: str, end: int) -> Mention:
    items = passage.items
    item = items[at]
    plural: bool | None = None
    short = False
    if item.kind == NAME:
        plural = {SINGULAR: False, PLURAL: True}.get(item.phrase.number)
        short = item.phrase.short
    mention = Mention(name, at, end, passage.sentence_of[at], plural, short=short)
    left = at - 1
    separators: list[tuple[int, int]] = []  # where, and how many attributes had been read there
    skipped = 0
    while left >= 0:
        before = items[left]
        if before.kind == ATTRIBUTE:
            mention.attributes.append(before.phrase.value)
        elif before.kind == PLACE and before.bare and left == mention.start - 1 and mention.start == at:
            mention.places.append(before.cell)
        elif before.kind in (AND, COMMA) and left > 0:
            joins = items[left + 1].kind == ATTRIBUTE and items[left - 1].kind == ATTRIBUTE
            if not joins or before.text in (";", "(", ")", ":"):
                break
            separators.append((left, len(mention.attributes)))
        elif before.kind == NUMBER and mention.number is None and mention.vague is None:
            mention.number = int(str(before.value))
        elif before.kind == VAGUE and mention.number is None and mention.vague is None:
            mention.vague = str(before.value)
        elif before.kind == DETERMINER:
            if mention.determiner is None:
                mention.determiner = before.text
            if before.text == "both" and mention.number is None:
                mention.number = 2
            mention.start = left
            if before.text not in ("the", "these", "those"):
                break
            left -= 1
            continue
        elif before.kind == OF and left > 0:
            left = _before_of(passage, mention, left)
            break
        elif before.kind == NEGATION and before.text in (
            "no",
            "without",
            "neither",
            "nor",
            "lacking",
            "lacks",
        ):
            mention.negated = True
            mention.start = left
            break
        elif before.kind in (WORD, VERB) and skipped < 2 and _leads_to_quantity(passage, left):
            skipped += 1
        else:
            break
        if before.kind not in (AND, COMMA):
            mention.start = left
        left -= 1
    if mention.determiner is None and left >= 0 and items[left].kind == NEGATION:
        mention.negated = items[left].text in ("no", "without")
    _give_back(passage, mention, separators, left)
    mention.attributes.reverse()
    if mention.number is None and mention.vague is None and mention.determiner in ("a", "an", "another"):
        mention.number = None if mention.plural else 1
    _deny(passage, mention)
    return mention


def _leads_to_quantity(passage: Passage, left: int) -> bool:
    """Whether an unknown word is an adjective: something that opens a noun phrase stands before it."""
    for at in range(left - 1, max(left - 3, -1), -1):
        if passage.items[at].kind in (NUMBER, VAGUE, DETERMINER, ATTRIBUTE):
            return True
        if passage.items[at].kind not in (WORD, VERB):
            return False
    return False


def _before_of(passage: Passage, mention: Mention, left: int) -> int:
    """As in "a row of cars", "both of the cars", "one of the cars"."""
    items, at = passage.items, left - 1
    if items[at].kind == COLLECTIVE:
        said = items[at].value
        while at > 0 and items[at - 1].kind in (DETERMINER, NUMBER, ATTRIBUTE, WORD, VAGUE):
            at -= 1
            if items[at].kind == DETERMINER:
                break
        if mention.number is None and mention.vague is None:
            if isinstance(said, int):
                mention.number = said
            elif said == "some" and any(i.text in ("large", "great", "big") for i in items[at:left]):
                mention.vague = "many"
            elif isinstance(said, str):
                mention.vague = said
        if mention.determiner is None:
            mention.determiner = "" if said is None else None
        mention.start = at
    elif items[at].kind == DETERMINER and items[at].text in ("both", "all", "each"):
        mention.determiner, mention.start = items[at].text, at
    elif items[at].kind in (NUMBER, VAGUE) and mention.determiner == "the":
        mention.number = None  # "one of the cars" says nothing of how many there are
        mention.start = at
    return at


def _give_back(passage: Passage, mention: Mention, separators: list[tuple[int, int]], left: int) -> None:
    """As in "The car is white and green trees ...": what stands before the "and" belongs to the car."""
    if not separators or left < 0 or mention.determiner or mention.number is not None or mention.vague:
        return
    if passage.items[left].kind in (COPULA, RELATIVE, NAME, NEGATION):
        where, kept = separators[0]
        del mention.attributes[kept:]
        mention.start = where + 1


def _deny(passage: Passage, mention: Mention) -> None:
    """As in "There are no cars", "is free of cars", "there is not a single car"."""
    at = mention.start - 1
    before = passage.items[at] if at >= 0 else None
    if before is None:
        return
    earlier = passage.items[at - 1] if at > 0 else before
    if before.kind == NEGATION:
        mention.negated = True
    elif before.kind == OF:
        mention.negated = earlier.text in ("free", "empty", "devoid", "clear")
    elif before.text == "any":
        mention.negated = earlier.kind == NEGATION
    elif before.text in ("or", ",") and passage.mentions and passage.mentions[-1].end == at:
        mention.negated = passage.mentions[-1].negated and not mention.determiner


def _elided(passage: Passage, at: int, item: Item) -> None:
    """As in "two red cars and one blue", "the white ones": a noun phrase that leaves its noun out."""
    if not passage.mentions:
        return
    name, items = passage.mentions[-1].name, passage.items
    if item.kind == WORD and item.text in ("ones", "others"):
        passage.mentions.append(_mention(passage, at, name, at + 1))
        return
    if item.kind != NUMBER or _part_of_phrase(passage, at):
        return
    end = at + 1
    while end < len(items) and items[end].kind == ATTRIBUTE:
        end += 1
    closes = end == len(items) or items[end].kind in (STOP, COMMA, AND, PLACE, COPULA)
    if closes and (end > at + 1 or (end < len(items) and items[end].kind == PLACE)):
        mention = Mention(name, at, end, passage.sentence_of[at], None)
        mention.number = int(str(item.value))
        mention.attributes = [i.phrase.value for i in items[at + 1 : end]]
        passage.mentions.append(mention)


def _part_of_phrase(passage: Passage, at: int) -> bool:
    """Whether a noun follows this number, attributes and unknown words between."""
    for item in passage.items[at + 1 :]:
        if item.kind == NAME:
            return True
        if item.kind == WORD:
            return True
        if item.kind not in (ATTRIBUTE, NUMBER) and not (item.kind == COMMA and item.text == ","):
            return False
        if item.kind == COMMA:
            return False
    return False
