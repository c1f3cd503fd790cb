"""What is said of an object outside its noun phrase: "... are red", "... at the left", "They are small"."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from pipeline.faithfulness import grammar, words
from pipeline.faithfulness.claims import Claim, Force, Mention, Passage, Place, RelationClaim
from pipeline.faithfulness.grammar import CLASSES, Kind


def read_predications(passage: Passage, relations: Sequence[RelationClaim]) -> None:
    """Give every mention the attributes and positions that the text claims outside its noun phrase."""
    mentions, ends = passage.mentions, _ends_of_remarks(passage, relations)
    fronted = {said.subjects[0]: said.fronted for said in relations if said.fronted is not None}
    subjects = {
        said.objects[0]: said.subjects for said in relations if said.names_one and len(said.objects) == 1
    }
    opening: dict[Mention, str] = {}
    trailing: dict[Mention, str] = {}
    for index, mention in enumerate(mentions):
        if (position := _position_before(passage, index, fronted)) is not None:
            mention.claims.append(Claim("position", position))
            opening[mention] = position
        others = subjects.get(mention) or passage.located(mention)
        for claim, several, pronoun in _claims_after(passage, index, ends[index]):
            if mention.distributes:
                claim = claim._replace(force="denied")
            if pronoun is not None:
                near = passage.antecedents(pronoun, besides=[mention])
                passage.places.append(Place(claim.value, [mention, *near]))
                for other in near:
                    other.claims.append(claim)
            elif others and claim == Claim("position", claim.value):
                # "The cars are below the hangar at the left", "a boat in the water at the left"
                passage.places.append(Place(claim.value, [mention, *others]))
                claim = claim._replace(force="possible")
                for other in others:
                    other.claims.append(claim)
            mention.claims.append(claim)
            if claim.aspect == "position" and claim.force == "stated":
                trailing[mention] = claim.value
            if several:  # "The car and the hangar are white"
                for earlier in passage.listed(mentions[index::-1], grammar.PLACED_LIST)[1:]:
                    earlier.claims.append(claim._replace(force="possible"))
    _join_places(passage, opening, trailing)
    _share_places(passage, opening, trailing)
    _place_contents(mentions, relations)
    _read_pronouns(passage)


def _ends_of_remarks(passage: Passage, relations: Sequence[RelationClaim]) -> list[int]:
    """For each mention, the item before which a remark about it ends: the next mention, or what is before it.

    "The former" and "the latter" end it as well. After "Below the hangar, at the left, are two cars" nothing
    is said of the hangar.
    """
    begins: dict[Mention, int] = {}  # clauses that begin with a relation, by the first thing they name
    ends: dict[Mention, int] = {}
    for said in relations:
        if said.fronted is not None and said.names_one:
            begins[said.objects[0]], ends[said.objects[0]] = said.fronted
        elif said.fronted is not None:
            begins[said.subjects[0]] = said.fronted[0]
    found = []
    pairs = [
        at
        for at in passage.subjects
        if at in passage.resumed or passage.items[at].text in words.PRONOUN_PHRASES
    ]
    for mention, following in zip_longest(passage.mentions, passage.mentions[1:]):
        end = len(passage.kinds) if following is None else begins.get(following, following.start)
        end = min([end, *(at for at in pairs if at >= mention.end)])
        found.append(max(mention.end, min(end, ends.get(mention, end))))
    return found


def _join_places(passage: Passage, opening: dict[Mention, str], trailing: dict[Mention, str]) -> None:
    """A row and a column are one place: "At the top, a car is on the left and a bus on the right"."""
    for mention, row in opening.items():
        if _joined(row, trailing.get(mention)) is None:
            continue
        index = passage.mentions.index(mention)
        for other in passage.mentions[index:]:
            place = _joined(row, trailing.get(other))
            between = passage.kinds[mention.end : other.start]
            if place is None or Kind.STOP in between or Kind.SEMICOLON in between:
                break
            other.claims = [claim for claim in other.claims if claim.value not in (row, trailing[other])]
            other.claims.append(Claim("position", place))
            trailing[other] = place


def _joined(one: str, other: str | None) -> str | None:
    """The cell that a row and a column name together; None if they are not one row and one column."""
    cell = words.cell_of(f"{one} {other}".split()) if other is not None else None
    return cell if cell is not None and len(cell) == len(one) + len(other or "") + 1 else None


def _share_places(passage: Passage, opening: Mapping[Mention, str], trailing: Mapping[Mention, str]) -> None:
    """Objects without a place of their own may have that of a neighbour.

    As in "a car and two buses at the right", and "At the right are a car, which is red, and two buses".
    """
    mentions = passage.mentions
    for index, mention in enumerate(mentions):
        if mention in trailing:
            for earlier in _together(passage, mentions[: index + 1])[1:]:
                earlier.claims.append(Claim("position", trailing[mention], "possible"))
        if mention in opening:
            for later in mentions[index + 1 :]:
                if later.positions or Kind.STOP in passage.kinds[mention.end : later.start]:
                    break
                later.claims.append(Claim("position", opening[mention], "possible"))


def _place_contents(mentions: Sequence[Mention], relations: Sequence[RelationClaim]) -> None:
    """Give what is in or on a thing its place, if it has none: "a dock at the left with a ship in it"."""
    for said in relations:
        ways = {turned for predicate, turned in said.readings if predicate in words.CONTAINING}
        for turned in ways if not said.denied else ():
            nearest = max(said.objects, key=lambda mention: mention.start)  # of those that "it" may mean
            contents, thing = (said.objects, said.subjects[0]) if turned else (said.subjects, nearest)
            for one in contents:
                same = [
                    other
                    for other in mentions
                    if (other.name, other.sentence) == (thing.name, thing.sentence)
                ]
                places = [claim for other in same for claim in other.claims if claim.aspect == "position"]
                placed = any(claim.aspect == "position" for claim in one.claims)
                if one.sentence == thing.sentence and not placed:
                    one.claims += [
                        claim._replace(force="possible") for claim in places if claim.force != "denied"
                    ]


def _together(passage: Passage, mentions: Sequence[Mention]) -> list[Mention]:
    """The last of these mentions and those before it that are one item with it: "a car and two buses".

    Not the car of "two boats at the top, a car and two buses at the right", where the "and" ends the list.
    """
    kinds, last = passage.kinds, mentions[-1]
    members = [last]
    for mention in passage.listed(reversed(mentions))[1:]:
        if mention.positions:
            break
        members.append(mention)
    first = members[-1]
    if len(members) == 1 or Kind.AND not in kinds[members[1].end : last.start]:
        return members[:1]
    since = max(
        [kinds.rfind(Kind.STOP, 0, first.start), *(m.end - 1 for m in mentions if m.end <= first.start)]
    )
    if kinds[since] == Kind.STOP or since < 0 or grammar.NEW_ITEM.search(kinds, since, first.start):
        return members
    continues = grammar.NEXT_ITEM.match(kinds, last.end)
    return members if continues else members[:1]


def _position_before(passage: Passage, index: int, fronted: Mapping[Mention, tuple[int, int]]) -> str | None:
    """As in "At the top left there are two cars": the position goes to the noun phrase after it."""
    mention, previous = passage.mentions[index], passage.mentions[index - 1] if index else None
    if (relation := fronted.get(mention)) is not None:
        rule, since = grammar.OPENING_POSITION, relation[1]
        if passage.kinds[relation[0]] in CLASSES["PLACE"]:  # "At the left, below the hangar, are"
            return passage.items[relation[0]].value
    elif previous is not None and previous.sentence == mention.sentence:
        rule, since = grammar.NEXT_POSITION if previous.positions else grammar.FRONTED_POSITION, previous.end
    else:
        rule, since = grammar.OPENING_POSITION, passage.kinds.rfind(Kind.STOP, 0, mention.start) + 1
    match = rule.search(passage.kinds, since, mention.start)
    if match is None or mention.positions or _relates(passage, match.start("position")):
        return None
    item = passage.items[match.start("position")]
    return None if item.kind == Kind.ASIDE else item.value


def _relates(passage: Passage, at: int) -> bool:
    """Whether a position is relative to an object, as in "the left of the hangar", and not to the scene."""
    match = grammar.POSITION_OF_NAME.match(passage.kinds, at)
    return match is not None and passage.items[match.end() - 1].text not in passage.vocabulary.scenes


def _claims_after(passage: Passage, index: int, end: int) -> Iterator[tuple[Claim, bool, int | None]]:
    """The claims in the remark about a mention that ends at item `end`."""
    mention, following = passage.mentions[index], passage.mentions[index + 1 : index + 2]
    return _claims(passage, mention.end, end, following[0] if following else None, bool(mention.positions))


def _claims(
    passage: Passage, start: int, end: int, following: Mention | None, placed: bool
) -> Iterator[tuple[Claim, bool, int | None]]:
    """The claims from item `start` up to `end`, and whether a plural verb is before them.

    Third, where a pronoun is that the claim may be about as well: "below it, at the left".

    Args:
        following: the next noun phrase.
        placed: whether the position of their object is known already.
    """
    kinds = passage.kinds
    remark = grammar.REMARK.match(kinds, start, end)
    assert remark is not None
    for match in grammar.CLAIM.finditer(kinds, start, remark.end()):
        at, item = match.start(), passage.items[match.start()]
        before = kinds[start:at]
        foreign = bool(grammar.FOREIGN_PHRASE.search(kinds, start, at))
        force: Force = "denied" if grammar.DENIAL.search(before) else "stated"
        if item.kind == Kind.ATTRIBUTE:
            if not foreign:
                yield Claim("attribute", item.value, force), Kind.ARE in before, None
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
        loose = grammar.LOOSE.search(kinds, start, at)
        if foreign or item.kind == Kind.ASIDE or loose:
            yield Claim("position", item.value, "possible"), False, loose.end() - 1 if loose else None
        else:
            placed = placed or force == "stated"
            yield Claim("position", item.value, force), Kind.ARE in before, None


def _read_pronouns(passage: Passage) -> None:
    """As in "They are red": said of the mention that fits, for sure if only one does."""
    for at in passage.subjects:
        meant = passage.antecedents(at)
        following = next((mention for mention in passage.mentions if mention.start > at), None)
        end = len(passage.kinds) if following is None else following.start
        end = min([end, *(other for other in passage.subjects if other > at)])
        if clause := grammar.PAIR_CLAUSE.search(passage.kinds, at + 1, end):
            end = clause.end()  # "the former below the latter, which is red"
        claims = [claim for claim, *_ in _claims(passage, at + 1, end, following, placed=False)]
        if len(meant) > 1:
            claims = [claim._replace(force="possible") for claim in claims if claim.force == "stated"]
        else:
            claims = [claim for claim in claims if claim.force != "possible"]
        for mention in meant:
            mention.claims += claims
