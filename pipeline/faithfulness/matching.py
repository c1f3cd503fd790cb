"""Which group of a graph each mention of a text refers to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention
from pipeline.faithfulness.labels import name_words
from pipeline.faithfulness.vocabulary import Vocabulary
from pipeline.graph.scene_graph import Group, GroupGraph, count_of

MOST_EXACT = 12  # mentions of one name that are matched by trying all combinations


@dataclass
class Match:
    """Mentions by group.

    Attributes:
        names: what each group's name is compared as; None if it is not searched for.
        mentions: for each group, those that can state its facts.
        claims: for each group, those whose words are inventions where they do not fit it.
        unknown: mentions of objects that the graph lacks.
        denied: mentions that say an object of the graph is not there.
        groups: for each mention, the indices of the groups that it may refer to: several where its words fit
            several.
    """

    graph: GroupGraph
    names: list[str | None]
    mentions: list[list[Mention]]
    claims: list[list[Mention]]
    unknown: list[Mention] = field(default_factory=list)
    denied: list[Mention] = field(default_factory=list)
    groups: dict[Mention, list[int]] = field(default_factory=dict)

    def groups_of(self, mention: Mention) -> list[int]:
        return self.groups.get(mention, [])

    def total(self, name: str | None) -> int | None:
        """The number of objects with a name, if several groups have it and all give a number; else None."""
        named = zip(self.names, self.graph.groups, strict=True)
        counts = [count_of(group.quantity) for other, group in named if other == name]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) > 1 else None


def match(mentions: Sequence[Mention], graph: GroupGraph, vocabulary: Vocabulary) -> Match:
    """Give every mention its group; all words together distinguish groups with the same name."""
    names = [vocabulary.name_of(group.name) for group in graph.groups]
    result = Match(graph, names, [[] for _ in names], [[] for _ in names])
    indices: dict[str, list[int]] = {}
    for index, known in enumerate(names):
        if known is not None:
            indices.setdefault(known, []).append(index)
    by_name: dict[str, list[Mention]] = {}
    scene = vocabulary.name_of(graph.scene or "")
    for mention in mentions:
        if mention.name not in indices:
            if not _may_be_named(graph, mention):
                result.unknown.append(mention)
        elif mention.negated:
            if any(_could_be(mention, graph.groups[index], vocabulary) for index in indices[mention.name]):
                result.denied.append(mention)
        elif not mention.short or mention.definite or not mention.first or mention.name == scene:
            by_name.setdefault(mention.name, []).append(mention)
    for name, named in by_name.items():
        if len(indices[name]) == 1:
            index = indices[name][0]
            result.mentions[index] = result.claims[index] = named
            result.groups |= {mention: [index] for mention in named}
        else:
            _match_several(named, indices[name], result, vocabulary)
    return result


def _may_be_named(graph: GroupGraph, mention: Mention) -> bool:
    """Whether an object of the graph may be what a text names otherwise.

    By a narrower name that no graph has: a building may be a house. Or by the end of its name: "a field",
    which may be the scene as well.
    """
    heads = {word for group in graph.groups for word in name_words(group.name)[-1:]}
    if mention.short:
        head = mention.name.split()[-1]
        scene = name_words(graph.scene or "")[-1:]
        return (
            mention.definite
            or head in heads
            or (head,) == scene
            or not heads.isdisjoint(words.NARROWER_NAMES.get(head, ()))
        )
    return mention.foreign and any(mention.name in words.NARROWER_NAMES.get(head, ()) for head in heads)


def _could_be(mention: Mention, group: Group, vocabulary: Vocabulary) -> bool:
    """Whether a group is among what a denied mention speaks of: "no red or green cars" are no blue ones."""
    meanings = vocabulary.meanings(group.attributes)
    return (not mention.attributes or any(value in meanings for value in mention.attributes)) and (
        not mention.positions or group.position in mention.positions
    )


def _match_several(named: list[Mention], indices: list[int], result: Match, vocabulary: Vocabulary) -> None:
    """Match the mentions of one name to the groups of that name."""
    groups = [result.graph.groups[index] for index in indices]
    wholes = {mention: _parts(mention, groups, vocabulary) for mention in named}
    named = [part for parts in wholes.values() for part in parts]
    total = result.total(named[0].name)
    scores = [[_score(mention, group, vocabulary) for group in groups] for mention in named]
    owners = _assign(named, scores, len(groups))
    for row, mention in enumerate(named):
        best = max(scores[row])
        together = False
        if row in owners:
            options = [indices[owners[row]]]
        elif (
            mention.number is not None and mention.number == total and _fits_all(mention, groups, vocabulary)
        ):
            together, options = True, list(indices)  # "three cars, two of them red": all of them
        else:
            options = [index for index, score in zip(indices, scores[row], strict=True) if score == best]
        result.groups[mention] = options
        if len(options) == 1:
            result.mentions[options[0]].append(mention)
        if len(options) == 1 or (best < -1 and not together):
            result.claims[options[0]].append(mention)
    for mention, parts in wholes.items():
        result.groups[mention] = [index for part in parts for index in result.groups[part]]


def _parts(mention: Mention, groups: Sequence[Group], vocabulary: Vocabulary) -> list[Mention]:
    """A mention as one of each group that it speaks of: "green and brown fields" are of two."""
    looks = set(mention.attributes)
    if len(looks) < 2 or mention.many is False or mention.number is not None or mention.vague is not None:
        return [mention]
    shares = [looks & set(vocabulary.meanings(group.attributes)) for group in groups]
    if looks in shares or looks != set().union(*shares):
        return [mention]
    foreign = [looks - share for share in shares if share]
    return [
        replace(mention, claims=[claim for claim in mention.claims if claim.value not in others])
        for others in foreign
    ]


def _fits_all(mention: Mention, groups: Sequence[Group], vocabulary: Vocabulary) -> bool:
    return all(
        set(mention.attributes) <= set(vocabulary.meanings(group.attributes))
        and all(position == group.position for position in mention.positions)
        for group in groups
    )


def _assign(named: list[Mention], scores: list[list[float]], columns: int) -> dict[int, int]:
    """Assign one mention to each group so that the sum of scores is highest: row of `scores` -> column."""
    eligible = [
        [not mention.definite or score > 0 for score in row]
        for mention, row in zip(named, scores, strict=True)
    ]
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}  # by the set of rows used
    for column in range(columns):
        after: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {}
        for used, (score, pairs) in best.items():
            choices = [(used, score - 100.0, pairs)]  # a group without a mention
            for row in range(min(len(named), MOST_EXACT)):
                if not used & (1 << row) and eligible[row][column]:
                    gained = scores[row][column] + (0.01 if not pairs or pairs[-1][0] < row else 0.0)
                    choices.append((used | 1 << row, score + gained, (*pairs, (row, column))))
            for key, value, chosen in choices:
                if key not in after or value > after[key][0]:
                    after[key] = (value, chosen)
        best = after
    return dict(max(best.values(), key=lambda choice: choice[0])[1])


def _score(mention: Mention, group: Group, vocabulary: Vocabulary) -> float:
    """How well a mention's words fit a group.

    +2 for a word that fits, -3 for one that does not, +0.5 for one that may, -0.1 for an attribute left out.
    """
    score = 0.0
    if states_quantity(group, mention):
        score += 2 if mention.number is not None or mention.vague else 0.5
    elif number_conflict(group, mention, None):
        score -= 3
    attributes = set(vocabulary.meanings(group.attributes))
    score -= 0.1 * len(attributes - set(mention.attributes))
    for aspect, value, force in mention.claims:
        fits = value in attributes if aspect == "attribute" else value == group.position
        if force == "stated":
            score += 2 if fits else -3
        elif force == "possible":
            score += 0.5 * fits
    return score


def states_quantity(group: Group, mention: Mention) -> bool:
    """Whether a mention states the group's quantity."""
    quantity, count = group.quantity, count_of(group.quantity)
    if count is not None:
        if mention.number is not None:
            return mention.number == count
        if mention.part is not None:
            return mention.part == count
        alone = mention.vague is None and mention.plural is not True and mention.first
        bare = mention.telegraphic and mention.plural is False and mention.determiner is None
        return count == 1 and alone and (bare or mention.determiner in words.THE_ONE)
    return mention.number is None and mention.vague is not None and mention.vague == vague_class(quantity)


def number_conflict(group: Group, mention: Mention, total: int | None) -> bool:
    """Whether a mention states another quantity; "a" and "some" state none.

    Args:
        total: how many objects of the group's name there are in all; a mention may speak of all of them.
    """
    quantity, count = group.quantity, count_of(group.quantity)
    if mention.number is not None:
        if total is not None and mention.number == total:
            return False
        if count is not None:
            return mention.number != count
        return bool(quantity) or mention.determiner not in ("a", "an", "another")
    if mention.vague is not None:
        if count is not None:
            return count == 1
        return mention.vague != vague_class(quantity) if quantity else mention.vague != "some"
    return count == 1 and mention.plural is True


def vague_class(quantity: str) -> str | None:
    """The class of a vague quantity; None for what is none, or says nothing that a text could state."""
    return words.VAGUE.get("".join(quantity.split()[-1:]).lower())
