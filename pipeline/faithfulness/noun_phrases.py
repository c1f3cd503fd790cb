"""Noun phrases: "two small red cars", "a row of trees", "no boats", "the white ones"."""

import re
from collections.abc import Mapping

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Claim, Mention, Passage
from pipeline.faithfulness.grammar import CLASSES, COUNT, ELLIPSIS, NOUN_PHRASE, PREDICATED, Kind
from pipeline.faithfulness.items import Item
from pipeline.graph.plurals import pluralise


def find_mentions(passage: Passage) -> None:
    """Find the noun phrases that name objects, from left to right."""
    mentions, named = passage.mentions, set()
    unknown = passage.kinds.replace(Kind.ONES, Kind.WORD)  # before a name, "ones" is a word like any other
    matches = [
        *NOUN_PHRASE.finditer(unknown),
        *(ELLIPSIS.finditer(passage.kinds) if Kind.ONES in passage.kinds else ()),
        *COUNT.finditer(passage.kinds),
    ]
    for match in sorted(matches, key=re.Match.end):
        if match.re is NOUN_PHRASE:
            if _is_scene(passage, match.end() - 1):
                continue
            name = passage.items[match.end() - 1].value
        elif mentions:
            name = mentions[-1].name
        else:
            continue
        mention = (_counted if match.re is COUNT else _mention)(passage, match, name)
        mention.first = name not in named
        named.add(name)
        mentions.append(mention)


def _is_scene(passage: Passage, at: int) -> bool:
    """Whether a name is a scene's, as in "A tennis court scene", or "A building scene" of "buildings"."""
    name, after, scenes = passage.items[at].text, passage.items[at + 1 : at + 2], passage.vocabulary.scenes
    return bool(after) and after[0].text == "scene" and (name in scenes or pluralise(name) in scenes)


def _counted(passage: Passage, match: re.Match[str], name: str) -> Mention:
    """What a match of `COUNT` says."""
    start, end = match.span()
    mention = Mention(name, start, end, passage.sentence_of(start), number=passage.items[start].number)
    mention.claims = _attributes(passage, start, end)
    return mention


def _mention(passage: Passage, match: re.Match[str], name: str) -> Mention:
    """What a match of `NOUN_PHRASE` or of `ELLIPSIS` says."""
    items, start, end = passage.items, match.start(), match.end()
    last = {group: items[match.end(group) - 1] for group in match.re.groupindex if match[group]}
    opening = last.get("whole") or last.get("article") or last.get("determiner")
    determiner = opening.text if opening else None
    number, vague = _quantity(last, items[slice(*match.span("collective"))])
    negation = last.get("negation")
    negated = negation is not None and (negation.kind == Kind.NO or determiner is not None)
    if collective := last.get("collective"):
        determiner = determiner or ("" if collective.number is None and not collective.value else None)
    first = match.start("modifiers")
    phrase = items[end - 1].phrase
    plural = phrase.plural if phrase else None
    if number is None and vague is None:
        if "joint" in last and not determiner and PREDICATED.match(passage.kinds, first):
            start = first = match.end("joint")
        if determiner in ("a", "an", "another") and not plural:
            number = 1
    mention = Mention(name, start, end, passage.sentence_of(start), plural, determiner, number, vague)
    mention.negated = _negated(passage, mention, negated)
    mention.short = phrase is not None and phrase.short
    mention.claims = _attributes(passage, first, end)
    if side := last.get("side"):
        mention.claims.append(Claim("position", side.value))
    return mention


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
    if number is None and "determiner" in last and last["determiner"].kind == Kind.BOTH:
        number = 2
    if collective and number is None and vague is None:
        number, vague = collective[-1].number, collective[-1].value or None
        if vague == "some" and any(item.text in ("large", "great", "big") for item in collective):
            vague = "many"
    return number, vague


def _negated(passage: Passage, mention: Mention, negated: bool) -> bool:
    """Whether it is denied, as in "There are no cars", "is free of cars", "there is not a single car"."""
    at = mention.start - 1
    if at < 0:
        return negated
    before, earlier = passage.items[at], passage.items[max(at - 1, 0)]
    if before.kind in CLASSES["NEGATION"]:
        return True
    if before.kind == Kind.OF:
        return earlier.text in words.ABSENCE
    if before.text == "any":
        return earlier.kind in CLASSES["NEGATION"]
    if before.text in ("or", ",") and passage.mentions and passage.mentions[-1].end == at:
        return passage.mentions[-1].negated and not mention.determiner
    return negated
