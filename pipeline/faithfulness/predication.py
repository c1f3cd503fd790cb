"""What is said of an object outside its noun phrase: "... are red", "... at the left", "They are small"."""

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention, Passage
from pipeline.faithfulness.items import (
    AND,
    ATTRIBUTE,
    COMMA,
    COPULA,
    DETERMINER,
    FUNCTION,
    NAME,
    NEGATION,
    NUMBER,
    OF,
    PLACE,
    PREDICATE,
    PREPOSITION,
    PRONOUN,
    RELATIVE,
    STOP,
    VAGUE,
    VERB,
    WORD,
)


def attach(passage: Passage) -> None:
    """Give every mention the attributes and places that the text says of it outside its noun phrase."""
    for number, mention in enumerate(passage.mentions):
        following = passage.mentions[number + 1] if number + 1 < len(passage.mentions) else None
        _read_before(passage, mention, number)
        _read_after(passage, mention, following, number)
    _read_pronouns(passage)


def _read_before(passage: Passage, mention: Mention, number: int) -> None:
    """As in "At the top left there are two cars": the place goes to the noun phrase after it."""
    previous = passage.mentions[number - 1] if number else None
    low = previous.end if previous is not None and previous.sentence == mention.sentence else 0
    for at in range(mention.start - 1, low - 1, -1):
        if passage.items[at].kind == STOP:
            return
        if passage.items[at].kind == PLACE:
            _front(passage, at, number)
            return


def _front(passage: Passage, at: int, number: int) -> None:
    mention = passage.mentions[number]
    first = number == 0 or passage.mentions[number - 1].sentence != mention.sentence
    cell = passage.items[at].cell
    if passage.items[at].of and _of_object(passage, at):
        return
    if first:
        fronted = _leads_straight(passage, at + 1, mention.start)
    else:
        fronted = _fronts(passage, at, mention.start, passage.mentions[number - 1], mention)
    if not fronted or mention.places:
        return
    mention.places.append(cell)
    for later in range(number + 1, len(passage.mentions)):
        one, two = passage.mentions[later - 1], passage.mentions[later]
        if not passage.joined(one, two):
            return
        if not two.places:
            two.possible_places.append(cell)


def _read_after(passage: Passage, mention: Mention, following: Mention | None, number: int) -> None:
    """Attributes and places said of a mention after its noun, up to the next noun phrase or sentence."""
    items = passage.items
    end = len(items)
    if following is not None:
        end = max(mention.end, following.start)
    at, copula, plural_copula, denied, foreign = mention.end, False, False, False, False
    while at < end and items[at].kind != STOP:
        item = items[at]
        after = items[at + 1] if at + 1 < len(items) else None
        if item.kind == COPULA:
            copula = True
            plural_copula = plural_copula or item.text in words.PLURAL_COPULAS
        elif item.kind == NEGATION:
            denied = True
        elif item.kind in (AND, COMMA):
            denied = False
        elif item.kind == ATTRIBUTE:
            if _predicative(passage, at, end, following) and not foreign:
                _claim(passage, mention, "attributes", item.phrase.value, denied)
                if plural_copula:
                    _share(passage, number, "possible_attributes", item.phrase.value)
        elif item.kind == PLACE:
            if item.of and _of_object(passage, at):
                return
            if _fronts(passage, at, end, mention, following):
                return
            if item.bare and at > mention.end and not _bare_place_ok(passage, at):
                pass
            elif foreign:
                mention.possible_places.append(item.cell)
            else:
                _claim(passage, mention, "places", item.cell, denied)
                if plural_copula:
                    _share(passage, number, "possible_places", item.cell)
        elif item.kind == PREDICATE and item.phrase.value not in words.WEAK_PREDICATES:
            if after is not None and (at + 1 >= end or after.kind in (PRONOUN, DETERMINER)):
                return
        elif item.kind == PRONOUN and copula:
            return
        elif item.kind in (DETERMINER, NUMBER, VAGUE) and item.text not in ("both", "all", "each"):
            foreign = True  # a noun phrase about something that no graph names
        at += 1


def _bare_place_ok(passage: Passage, at: int) -> bool:
    before = passage.items[at - 1]
    return before.kind in (COMMA, COPULA, VERB, AND) or before.kind == NAME


def _predicative(passage: Passage, at: int, end: int, following: Mention | None) -> bool:
    """Whether an attribute after a noun speaks of it, and not of an unknown noun that comes next."""
    after = passage.items[at + 1] if at + 1 < len(passage.items) else None
    if after is None or at + 1 >= end:
        return True
    if after.kind == WORD and passage.items[at - 1].kind != COPULA:
        return False
    return after.kind not in (NAME, NUMBER)


def _claim(passage: Passage, mention: Mention, what: str, value: str, denied: bool) -> None:
    (mention.denied if denied else getattr(mention, what)).append(value)


def _share(passage: Passage, number: int, what: str, value: str) -> None:
    """As in "The car and the hangar are white": the nouns before, joined to this one, may be meant too."""
    for earlier in range(number - 1, -1, -1):
        one, two = passage.mentions[earlier], passage.mentions[earlier + 1]
        if not passage.joined(one, two):
            return
        getattr(one, what).append(value)


def _of_object(passage: Passage, at: int) -> bool:
    """As in "the left of the hangar" is a relation; "the center of the airport" is a place."""
    for item in passage.items[at + 1 : at + 4]:
        if item.kind == NAME:
            return item.text not in passage.vocabulary.scenes
        if item.kind not in (OF, DETERMINER):
            return False
    return False


def _fronts(passage: Passage, at: int, end: int, mention: Mention, following: Mention | None) -> bool:
    """Whether a place belongs to the noun phrase after it: "... and, at the bottom, one pond"."""
    if following is None or following.sentence != mention.sentence:
        return False
    before = at - 1
    while before >= mention.end and passage.items[before].kind == COMMA and passage.items[before].text == ",":
        before -= 1
    opened = before >= mention.end and (
        passage.items[before].kind == AND
        or passage.items[before].text in ("with", "while", "whereas", "where")
        or passage.items[before].text == ";"
    )
    inverted = at + 1 < following.start and passage.items[at + 1].kind == COPULA
    if not opened and before == at - 2 and inverted:
        opened = True  # ", on the right is a blue car"
    if not opened and before == at - 2 and before >= mention.end - 1 and mention.places:
        opened = _leads_straight(passage, at + 1, following.start, commas=False)
    return opened and _leads_straight(passage, at + 1, following.start)


def _leads_straight(passage: Passage, at: int, end: int, commas: bool = True) -> bool:
    """Whether only little words stand between a place and the noun phrase that it fronts."""
    kinds = {COPULA, VERB, FUNCTION, RELATIVE, PREPOSITION, OF, DETERMINER, WORD}
    for item in passage.items[at:end]:
        if item.kind == COMMA and commas and item.text in (",", ":"):
            continue
        if item.kind not in kinds:
            return False
    return True


def _read_pronouns(passage: Passage) -> None:
    """As in "They are red": said of the mention that fits, for sure if only one does."""
    for at in range(len(passage.items)):
        if not passage.is_pronoun(at):
            continue
        meant = passage.antecedents(at)
        following = next((m for m in passage.mentions if m.start > at), None)
        shadow = Mention("", at, at + 1, passage.sentence_of[at], None)
        _read_after(passage, shadow, following, 0)
        only = len({id(m) for m in meant}) == 1
        for mention in meant:
            if only:
                mention.attributes += shadow.attributes
                mention.places += shadow.places
                mention.denied += shadow.denied
            else:
                mention.possible_attributes += shadow.attributes
                mention.possible_places += shadow.places
