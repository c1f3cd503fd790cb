"""What is said of an object outside its noun phrase: "... are red", "... at the left", "They are small"."""

from collections.abc import Iterator

from pipeline.faithfulness.claims import Aspect, Claim, Force, Mention, Passage
from pipeline.faithfulness.grammar import (
    CLAIM,
    CLASSES,
    DENIAL,
    FRONTED_PLACE,
    NEXT_PLACE,
    OPENING_PLACE,
    PLACE_OF_NAME,
    REMARK,
    STRAY_PLACE,
    Kind,
)


def read_predications(passage: Passage) -> None:
    """Give every mention the attributes and positions that the text claims outside its noun phrase."""
    mentions = passage.mentions
    for index, mention in enumerate(mentions):
        _read_before(passage, index)
        following = mentions[index + 1] if index + 1 < len(mentions) else None
        claims = _claims_after(passage, mention.end, following, bool(mention.positions))
        for claim, several in claims:
            mention.claims.append(claim)
            if several:  # "The car and the hangar are white"
                for earlier in passage.listed(mentions[index::-1])[1:]:
                    earlier.claims.append(claim._replace(force=Force.POSSIBLE))
    _read_pronouns(passage)


def _read_before(passage: Passage, index: int) -> None:
    """As in "At the top left there are two cars": the position goes to the noun phrase after it."""
    mention, previous = passage.mentions[index], passage.mentions[index - 1] if index else None
    if previous is not None and previous.sentence == mention.sentence:
        rule, since = NEXT_PLACE if previous.positions else FRONTED_PLACE, previous.end
    else:
        rule, since = OPENING_PLACE, passage.kinds.rfind(Kind.STOP, 0, mention.start) + 1
    found = rule.search(passage.kinds, since, mention.start)
    if found is None or mention.positions or _relates(passage, found.start("place")):
        return
    position = passage.items[found.start("place")].value
    mention.claims.append(Claim(Aspect.POSITION, position))
    for later in passage.listed(passage.mentions[index:])[1:]:
        if not later.positions:
            later.claims.append(Claim(Aspect.POSITION, position, Force.POSSIBLE))


def _relates(passage: Passage, at: int) -> bool:
    """Whether a place is relative to an object, as in "the left of the hangar", and not to the scene."""
    found = PLACE_OF_NAME.match(passage.kinds, at)
    return found is not None and passage.items[found.end() - 1].text not in passage.vocabulary.scenes


def _claims_after(
    passage: Passage, start: int, following: Mention | None, placed: bool
) -> Iterator[tuple[Claim, bool]]:
    """The claims from item `start` on, and whether a plural verb is before them.

    Args:
        following: the next noun phrase, which ends them.
        placed: the position of what they are about is known.
    """
    kinds = passage.kinds
    end = max(start, following.start) if following else len(kinds)
    remark = REMARK.match(kinds, start, end)
    assert remark is not None
    for found in CLAIM.finditer(kinds, start, remark.end()):
        at, item = found.start(), passage.items[found.start()]
        before = set(kinds[start:at])
        foreign = not before.isdisjoint(CLASSES["FOREIGN"])  # about something that no graph names
        force = Force.DENIED if DENIAL.search(kinds, start, at) else Force.STATED
        if item.kind == Kind.ATTRIBUTE:
            if not foreign:
                yield Claim(Aspect.ATTRIBUTE, item.value, force), Kind.ARE in before
            continue
        if _relates(passage, at):
            return
        if following is not None:
            fronted = (NEXT_PLACE if placed else FRONTED_PLACE).search(kinds, start, following.start)
            if fronted is not None and fronted.start("place") == at:
                return
        if at > start and STRAY_PLACE.match(kinds, at):
            continue
        if foreign:
            yield Claim(Aspect.POSITION, item.value, Force.POSSIBLE), False
        else:
            placed = placed or force is Force.STATED
            yield Claim(Aspect.POSITION, item.value, force), Kind.ARE in before


def _read_pronouns(passage: Passage) -> None:
    """As in "They are red": said of the mention that fits, for sure if only one does."""
    for at in passage.subjects:
        meant = passage.antecedents(at)
        following = next((mention for mention in passage.mentions if mention.start > at), None)
        claims = [claim for claim, _ in _claims_after(passage, at + 1, following, placed=False)]
        if len(meant) > 1:
            claims = [claim._replace(force=Force.POSSIBLE) for claim in claims if claim.force is Force.STATED]
        else:
            claims = [claim for claim in claims if claim.force is not Force.POSSIBLE]
        for mention in meant:
            mention.claims += claims
