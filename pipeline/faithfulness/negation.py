"""What a text denies: "no boats", "lacks trees", "neither a car nor a boat", "The bus is missing"."""

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention, Passage
from pipeline.faithfulness.grammar import CLASSES, DENIED_LIST, Kind

_BETWEEN = (Kind.FUNCTION, Kind.OTHER, Kind.VERB, Kind.OF)  # a denying word and the noun phrase it denies
_TO_VERB = (*_BETWEEN, *CLASSES["COPULA"], Kind.RELATIVE, Kind.PREPOSITION, *CLASSES["NEGATION"])


def read_denials(passage: Passage) -> None:
    """Mark the mentions of objects that the text says are not there."""
    mentions = passage.mentions
    for index, mention in enumerate(mentions):
        if not mention.negated and _denied_before(passage, mention):
            for other in _denied_list(passage, mentions[index:]):
                other.negated = True
    for at in range(len(passage.items)):
        if _says_gone(passage, at):
            for other in _subjects(passage, at):
                other.negated = True


def _denied_before(passage: Passage, mention: Mention) -> bool:
    """Whether a word in a noun phrase or before it denies it; else, one may deny what is said of it."""
    items, at = passage.items, mention.start - 1
    if mention.negation == "neither":  # "Neither car is red", but "neither cars nor boats"
        rest = passage.sentence_from(mention.end)
        mention.distributes = mention.plural is False and "nor" not in rest and mention.determiner is None
        return not mention.distributes
    if mention.negation is not None:
        return True
    having = False
    while at >= 0:
        item, before = items[at], items[at - 1].text if at else ""
        if item.text in words.LACKING:
            return True
        if item.kind == Kind.OF and before in words.ABSENCE:
            return True
        if item.kind in CLASSES["NEGATION"]:
            mention.distributes = items[at + 1].kind == Kind.OF
            adjacent = at == mention.start - 1 or items[at + 1].text in words.INDEFINITE
            return not mention.distributes and (adjacent or having)
        having = having or item.text in words.HAVING
        if item.text not in words.HAVING and item.kind not in _BETWEEN:
            return False
        at -= 1
    return False


def _denied_list(passage: Passage, mentions: list[Mention]) -> list[Mention]:
    """The first of these mentions, which is denied, and those that are denied with it.

    "No cars, trucks or boats" denies all, "no cars, two trucks and grass" the first alone.
    """
    kinds, chain, certain = passage.kinds, mentions[:1], 1
    for mention in mentions[1:]:
        joint = DENIED_LIST.fullmatch(kinds, chain[-1].end, mention.start)
        alternative = joint is not None and (joint["or"] is not None or mention.negation == "nor")
        bare = mention.determiner is None and mention.number is None and mention.vague is None
        indefinite = mention.determiner in words.INDEFINITE
        if joint is None or not (bare or indefinite or alternative):
            break
        chain.append(mention)
        if alternative or (joint["and"] is not None and bare):
            certain = len(chain)
    return chain[:certain]


def _says_gone(passage: Passage, at: int) -> bool:
    """Whether an item says that what is before it is not there: "missing", "not visible"."""
    text = passage.items[at].text
    if any(mention.start == at + 1 for mention in passage.mentions):
        return False
    if text in words.GONE:
        return True
    before = passage.kinds[max(at - 4, 0) : at]
    return text in words.PRESENCE and any(kind in CLASSES["NEGATION"] for kind in before)


def _subjects(passage: Passage, at: int) -> list[Mention]:
    """What the verb at item `at` is said of."""
    before = [mention for mention in passage.mentions if mention.end <= at]
    between = passage.kinds[before[-1].end : at] if before else ""
    if not before or any(kind not in (*_TO_VERB, Kind.COMMA, Kind.WORD) for kind in between):
        return []
    if passage.items[at].text in words.PRESENCE and not set(between) & set(CLASSES["NEGATION"]):
        return []
    return passage.listed(reversed(before))
