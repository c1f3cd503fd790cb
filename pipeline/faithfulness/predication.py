"""What is said of an object outside its noun phrase: "... are red", "... at the left", "They are small"."""

from collections.abc import Iterator

from pipeline.faithfulness import grammar
from pipeline.faithfulness.claims import Claim, Force, Mention, Passage
from pipeline.faithfulness.grammar import Kind


def read_predications(passage: Passage) -> None:
    """Give every mention the attributes and positions that the text claims outside its noun phrase."""
    mentions = passage.mentions
    for index, mention in enumerate(mentions):
        _read_before(passage, index)
        following = mentions[index + 1] if index + 1 < len(mentions) else None
        claims = _claims_after(passage, mention.end, following, bool(mention.positions))
        for claim, several in claims:
            if mention.distributes:
                claim = claim._replace(force="denied")
            mention.claims.append(claim)
            if several:  # "The car and the hangar are white"
                for earlier in passage.listed(mentions[index::-1])[1:]:
                    earlier.claims.append(claim._replace(force="possible"))
    _read_pronouns(passage)


def _read_before(passage: Passage, index: int) -> None:
    """As in "At the top left there are two cars": the position goes to the noun phrase after it."""
    mention, previous = passage.mentions[index], passage.mentions[index - 1] if index else None
    if previous is not None and previous.sentence == mention.sentence:
        rule, since = grammar.NEXT_POSITION if previous.positions else grammar.FRONTED_POSITION, previous.end
    else:
        rule, since = grammar.OPENING_POSITION, passage.kinds.rfind(Kind.STOP, 0, mention.start) + 1
    match = rule.search(passage.kinds, since, mention.start)
    if match is None or mention.positions or _relates(passage, match.start("position")):
        return
    position = passage.items[match.start("position")].value
    mention.claims.append(Claim("position", position))
    for later in passage.listed(passage.mentions[index:])[1:]:
        if not later.positions:
            later.claims.append(Claim("position", position, "possible"))


def _relates(passage: Passage, at: int) -> bool:
    """Whether a position is relative to an object, as in "the left of the hangar", and not to the scene."""
    match = grammar.POSITION_OF_NAME.match(passage.kinds, at)
    return match is not None and passage.items[match.end() - 1].text not in passage.vocabulary.scenes


def _claims_after(
    passage: Passage, start: int, following: Mention | None, placed: bool
) -> Iterator[tuple[Claim, bool]]:
    """The claims from item `start` on, and whether a plural verb is before them.

    Args:
        following: the next noun phrase, which ends them.
        placed: whether the position of their object is known already.
    """
    kinds = passage.kinds
    end = max(start, following.start) if following else len(kinds)
    remark = grammar.REMARK.match(kinds, start, end)
    assert remark is not None
    for match in grammar.CLAIM.finditer(kinds, start, remark.end()):
        at, item = match.start(), passage.items[match.start()]
        before = kinds[start:at]
        foreign = bool(grammar.FOREIGN_PHRASE.search(before))
        force: Force = "denied" if grammar.DENIAL.search(before) else "stated"
        if item.kind == Kind.ATTRIBUTE:
            if not foreign:
                yield Claim("attribute", item.value, force), Kind.ARE in before
            continue
        if _relates(passage, at):
            return
        if following is not None:
            fronted = (grammar.NEXT_POSITION if placed else grammar.FRONTED_POSITION).search(
                kinds, start, following.start
            )
            if fronted is not None and fronted.start("position") == at:
                return
        if at > start and grammar.STRAY_POSITION.match(kinds, at):
            continue
        if foreign:
            yield Claim("position", item.value, "possible"), False
        else:
            placed = placed or force == "stated"
            yield Claim("position", item.value, force), Kind.ARE in before


def _read_pronouns(passage: Passage) -> None:
    """As in "They are red": said of the mention that fits, for sure if only one does."""
    for at in passage.subjects:
        meant = passage.antecedents(at)
        following = next((mention for mention in passage.mentions if mention.start > at), None)
        claims = [claim for claim, _ in _claims_after(passage, at + 1, following, placed=False)]
        if len(meant) > 1:
            claims = [claim._replace(force="possible") for claim in claims if claim.force == "stated"]
        else:
            claims = [claim for claim in claims if claim.force != "possible"]
        for mention in meant:
            mention.claims += claims
