"""What a text denies: "no boats", "lacks trees", "neither a car nor a boat", "The bus is missing"."""

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention, Passage
from pipeline.faithfulness.grammar import CLASSES, DENIED_LIST, LAST_CHOICE, Kind

# between a denying word and the noun phrase it denies
_BETWEEN = (Kind.FUNCTION, Kind.OTHER, Kind.VERB, Kind.OF, Kind.WORD, Kind.COMMA, Kind.OR)
_TO_VERB = (
    *_BETWEEN,
    *CLASSES["POSITION"],
    *CLASSES["COPULA"],
    Kind.RELATIVE,
    Kind.PREPOSITION,
    Kind.PICTURE,
    *CLASSES["NEGATION"],
)


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
                if other.determiner == "the":  # it was there: "The playground is missing"
                    passage.narrated.append(f"edit '{passage.items[at].text}'")


def _denied_before(passage: Passage, mention: Mention) -> bool:
    """Whether a word in a noun phrase or before it denies it; else, one may deny what is said of it."""
    items, at = passage.items, mention.start - 1
    if mention.negation == "neither":  # "Neither car is red", but "neither cars nor boats"
        rest = passage.sentence_from(mention.end)
        mention.distributes = mention.plural is False and "nor" not in rest and mention.determiner is None
        return not mention.distributes
    if mention.negation is not None:
        return True
    crossed, having = "", False  # kinds between the noun phrase and what denies it
    for at in range(mention.start - 1, -1, -1):
        item = items[at]
        if item.text in words.LACKING or (
            item.kind == Kind.OF and at and items[at - 1].text in words.ABSENCE
        ):
            return _listed(passage, mention, crossed)
        if item.kind == Kind.NOT:
            mention.distributes = crossed.endswith(Kind.OF)
            indefinite = at + 1 < mention.start and items[at + 1].text in words.INDEFINITE
            return not mention.distributes and (not crossed or indefinite or having)
        if item.kind in CLASSES["NEGATION"]:
            mention.distributes = crossed.endswith(Kind.OF)
            return not mention.distributes and _listed(passage, mention, crossed)
        having = having or item.text in words.HAVING
        if item.text not in words.HAVING and item.kind not in _BETWEEN:
            return False
        crossed += item.kind
    return False


def _listed(passage: Passage, mention: Mention, crossed: str) -> bool:
    """Whether a denial reaches a noun phrase over the names of other things: "no people, cars or boats".

    Args:
        crossed: the kinds of the items between.
    """
    if Kind.WORD in crossed and mention.definite:
        return False
    return (
        Kind.COMMA not in crossed
        or Kind.OR in crossed
        or LAST_CHOICE.match(passage.kinds, mention.end) is not None
    )


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
    if text not in words.GONE and text not in words.PRESENCE:
        return False
    if any(mention.start == at + 1 for mention in passage.mentions):
        return False
    if text in words.GONE:
        return True
    before = passage.kinds[max(at - 4, 0) : at]
    return any(kind in CLASSES["NEGATION"] for kind in before)


def _subjects(passage: Passage, at: int) -> list[Mention]:
    """What the verb at item `at` is said of."""
    before = [mention for mention in passage.mentions if mention.end <= at]
    between = passage.kinds[before[-1].end : at] if before else ""
    if not before or any(kind not in (*_TO_VERB, Kind.COMMA, Kind.WORD) for kind in between):
        return []
    if passage.items[at].text in words.PRESENCE and not set(between) & set(CLASSES["NEGATION"]):
        return []
    return passage.listed(reversed(before))
