"""Noun phrases: "two small red cars", "a row of trees", "no boats", "the white ones"."""

import re
from collections.abc import Mapping
from itertools import pairwise

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Claim, Mention, Passage
from pipeline.faithfulness.grammar import (
    CLASSES,
    CORRELATIVE,
    COUNT,
    COUNTED_TOGETHER,
    ELLIPSIS,
    IN_TURN,
    NOUN_PHRASE,
    PREDICATED,
    QUANTITY_APART,
    SUBJECT_TO_VERB,
    Kind,
)
from pipeline.faithfulness.items import Item
from pipeline.faithfulness.scenes import squeezed
from pipeline.graph.plurals import pluralise


def find_mentions(passage: Passage) -> None:
    """Find the noun phrases that name objects, from left to right."""
    mentions = passage.mentions
    telegraphic = all(item.text not in words.INDEFINITE_ARTICLES for item in passage.items)
    unknown = passage.kinds.replace(Kind.ONES, Kind.WORD)  # before a name, "ones" is a word like any other
    matches = list(NOUN_PHRASE.finditer(unknown))
    inside = {at for match in matches for at in range(*match.span())}
    matches += ELLIPSIS.finditer(passage.kinds) if Kind.ONES in passage.kinds else ()
    matches += [match for match in COUNT.finditer(passage.kinds) if match.start() not in inside]
    for match in sorted(matches, key=re.Match.end):
        if match.re is NOUN_PHRASE:
            if _is_scene(passage, match.end() - 1):
                passage.scenes.append(passage.items[match.end() - 1].value)
                continue
            name = _full_name(passage, match)
            if name is None:
                continue
        elif match.re is COUNT and (name := _name_after(passage, match)) is not None:
            pass
        elif mentions:
            name = _name_meant(passage, match)
        else:
            continue
        mention = (_counted if match.re is COUNT else _mention)(passage, match, name)
        if mention.foreign and mention.definite:
            continue  # "the vehicles" may sum up what the text has named
        if mention.number is None and mention.vague is None and not mention.negation:
            apart = QUANTITY_APART.match(passage.kinds, mention.end)
            if apart:
                quantity = passage.items[apart.end() - 1]
                mention.number, mention.vague = quantity.number, quantity.value or None
        if mention.part is None and "partitive" in match.re.groupindex and match["partitive"]:
            mention.part = passage.items[match.end("partitive") - 1].number
        mention.telegraphic = telegraphic
        mention.first = not any(_may_be_one(mention, other) for other in mentions)
        mentions.append(mention)


def read_in_turn(passage: Passage) -> None:
    """Give each of several objects its own: "The car and the bus are red and white, respectively"."""
    for match in IN_TURN.finditer(passage.kinds):
        if passage.items[match.start("respectively")].text != "respectively":
            continue
        items = passage.items[slice(*match.span("values"))]
        values = [item for item in items if item.kind in CLASSES["POSITION"] + Kind.ATTRIBUTE]
        before = [mention for mention in passage.mentions if mention.end <= match.start()][-len(values) :]
        for mention, item in zip(before, values, strict=False):
            mention.claims.append(
                Claim("attribute" if item.kind == Kind.ATTRIBUTE else "position", item.value)
            )
        passage.pass_over(*match.span())


def find_resumptions(passage: Passage) -> None:
    """Find the verbs that do not follow their subject: "The cars next to the hangar are red"."""
    for mention, inner in pairwise(passage.mentions):
        between = SUBJECT_TO_VERB.match(passage.kinds, mention.end)
        if between is None or inner.end > between.end():
            continue
        if mention.many in (passage.kinds[between.end()] == Kind.ARE, None):
            passage.resumed.setdefault(between.end(), mention)
    passage.subjects = sorted({*passage.subjects, *passage.resumed})


def _full_name(passage: Passage, match: re.Match[str]) -> str | None:
    """The name that a noun phrase ends with; None for a head of several names, "courts", before any of them.

    After "fuel trucks", "the trucks" are these, unless the text has named trucks as well.
    """
    item, name = passage.items[match.end() - 1], passage.items[match.end() - 1].value
    head_alone = item.phrase is not None and item.phrase.short and " " not in name
    exact = not head_alone and item.text in (name, pluralise(name))
    determiner = match["article"] or match["determiner"]
    if exact and (not determiner or any(mention.name == name for mention in passage.mentions)):
        return name
    for other in (*(mention.name for mention in reversed(passage.mentions)), *passage.scenes):
        head = other.split()[-1]
        if head != other and item.text in (head, pluralise(head)):
            return other
    return None if head_alone else name


def _name_meant(passage: Passage, match: re.Match[str]) -> str:
    """What "the white ones" are: what the text has called white, if it has.

    Else, the last thing named that is not only what another is next to.
    """
    latest = passage.mentions[-1]
    looks = {value for _, value, _ in _attributes(passage, *match.span())}
    if looks and passage.kinds[match.start()] in CLASSES["ARTICLE"]:
        end = match.start()
        for mention in reversed(passage.mentions):
            if looks <= {value for _, value, _ in _attributes(passage, mention.start, end)}:
                return mention.name
            end = mention.start
    if passage.kinds[latest.end : match.start()] == Kind.COMMA:  # "next to the dock, a wooden one"
        return latest.name
    for mention in reversed(passage.mentions):
        if passage.kinds[max(mention.start - 1, 0)] != Kind.RELATION:
            return mention.name
    return latest.name


def _name_after(passage: Passage, match: re.Match[str]) -> str | None:
    """What "two red" are, in "two red and three blue cars"; None in "two boats, one red and one blue"."""
    together = COUNTED_TOGETHER.match(passage.kinds, match.end())
    listed = passage.mentions and passage.kinds[passage.mentions[-1].end : match.start()] == Kind.COMMA
    return passage.items[together.end() - 1].value if together and not listed else None


def _may_be_one(mention: Mention, other: Mention) -> bool:
    """Whether two mentions may be of the same objects, by their names and attributes."""
    one, two = mention.attributes, other.attributes
    return mention.name == other.name and (not one or not two or not set(one).isdisjoint(two))


def _is_scene(passage: Passage, at: int) -> bool:
    """Whether a name is a scene's, as in "A tennis court scene", or "A building scene" of "buildings"."""
    items, scenes = passage.items[at : at + 2], passage.vocabulary.scenes
    if len(items) < 2 or items[1].text not in words.SCENE_NOUNS:
        return False
    letters = {squeezed(items[0].text), squeezed(pluralise(items[0].text))}
    return not letters.isdisjoint(map(squeezed, scenes))


def _counted(passage: Passage, match: re.Match[str], name: str) -> Mention:
    """What a match of `COUNT` says."""
    start, end = match.span()
    number = next(item.number for item in passage.items[start:end] if item.kind == Kind.NUMBER)
    mention = Mention(name, start, end, passage.sentence_of(start), number=number)
    if passage.kinds[start] == Kind.THE:
        mention.determiner = passage.items[start].text
    mention.claims = _attributes(passage, start, end)
    return mention


def _mention(passage: Passage, match: re.Match[str], name: str) -> Mention:
    """What a match of `NOUN_PHRASE` or of `ELLIPSIS` says."""
    items, start, end = passage.items, match.start(), match.end()
    last = {group: items[match.end(group) - 1] for group in match.re.groupindex if match[group]}
    opening = last.get("whole") or last.get("article") or last.get("determiner")
    determiner = opening.text if opening else None
    number, vague = _quantity(last, items[slice(*match.span("collective"))])
    both = "determiner" in last and last["determiner"].kind == Kind.BOTH
    if both and CORRELATIVE.match(passage.kinds, end):
        number = None
    negation = last.get("negation")
    if collective := last.get("collective"):
        determiner = determiner or ("" if collective.number is None and not collective.value else None)
    first = match.start("modifiers")
    noun = items[end - 1]
    plural = noun.phrase.plural if noun.phrase else None
    if number is None and vague is None:
        number = 1 if noun.text in words.ONE else noun.number
    if (joint := _foreign_up_to(passage, match, determiner, number, vague, plural)) is not None:
        start = first = joint
        determiner = number = vague = negation = None
    if number is None and vague is None and determiner in ("a", "an", "another") and not plural:
        number = 1
    mention = Mention(name, start, end, passage.sentence_of(start), plural, determiner, number, vague)
    mention.negation = negation.text if negation else None
    mention.short = noun.phrase is not None and noun.phrase.short
    mention.foreign = noun.phrase is not None and noun.phrase.foreign
    mention.claims = _attributes(passage, first, end)
    if noun.kind == Kind.ONES and noun.text == "more":  # "three red buoys and two more"
        alike = next(other for other in reversed(passage.mentions) if other.name == name)
        mention.claims += [Claim("attribute", value, "possible") for value in alike.attributes]
    if side := last.get("side") or last.get("place"):
        mention.claims.append(Claim("position", side.value))
    return mention


def _foreign_up_to(
    passage: Passage,
    match: re.Match[str],
    determiner: str | None,
    number: int | None,
    vague: str | None,
    plural: bool | None,
) -> int | None:
    """Where the noun phrase begins in truth, if the words before a joint belong to something else.

    As in "The car is white and green trees", and "a fence, white cars".
    """
    joints = [match.end(group) for group in ("joint", "loose", "and") if match[group]]
    if not joints:
        return None
    counted = number is not None or vague is not None
    if not (counted or determiner) and PREDICATED.match(passage.kinds, match.start("modifiers")):
        return max(joints)
    one = determiner in ("a", "an", "another") or number == 1
    if match["loose"] and ((one and plural) or (number not in (None, 1) and plural is False)):
        return match.end("loose")
    return None


def _attributes(passage: Passage, start: int, end: int) -> list[Claim]:
    kind = Kind.ATTRIBUTE
    return [Claim("attribute", item.value) for item in passage.items[start:end] if item.kind == kind]


def _quantity(last: Mapping[str, Item], collective: list[Item]) -> tuple[int | None, str | None]:
    """How many objects a noun phrase is about: a number, or a class of vague quantities.

    Args:
        last: the last item of each group of the rule.
        collective: "a large number", of "a large number of cars".
    """
    number = last["number"].number if "number" in last else None
    vague = last["vague"].value if "vague" in last else None
    if "partitive" in last:
        return None, vague  # "one of the cars" says nothing of how many there are
    if number is None and any(
        last[group].kind == Kind.BOTH for group in ("determiner", "whole") if group in last
    ):
        number = 2
    if collective and number is None and vague is None:
        number, vague = collective[-1].number, collective[-1].value or None
        if vague == "some" and any(item.text in ("large", "great", "big") for item in collective):
            vague = "many"
    return number, vague
