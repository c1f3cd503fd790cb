"""Which group of a graph each mention of a text speaks of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Mention
from pipeline.faithfulness.vocabulary import Vocabulary
from pipeline.graph.scene_graph import Group, GroupGraph

MOST_EXACT = 12  # mentions of one name that are matched by trying every way


@dataclass
class Match:
    """Mentions by group.

    Attributes:
        mentions: for each group, those that count for its facts.
        claims: for each group, those whose own words must fit it.
        unknown: mentions of objects that the graph lacks.
        denied: mentions that say an object of the graph is not there.
    """

    graph: GroupGraph
    mentions: list[list[Mention]]
    claims: list[list[Mention]]
    unknown: list[Mention] = field(default_factory=list)
    denied: list[Mention] = field(default_factory=list)
    options: dict[int, list[int]] = field(default_factory=dict)

    def groups_of(self, mention: Mention) -> list[int]:
        """Groups that a mention may speak of; several where its words fit several."""
        return self.options.get(id(mention), [])

    def total(self, name: str) -> int | None:
        """How many objects of a name there are, where every group says it in digits."""
        quantities = [group.quantity for group in self.graph.groups if group.name == name]
        if len(quantities) < 2 or not all(quantity.isdigit() for quantity in quantities):
            return None
        return sum(int(quantity) for quantity in quantities)


def match(mentions: Sequence[Mention], graph: GroupGraph, vocabulary: Vocabulary) -> Match:
    """Give every mention its group: groups of one name are told apart by all their words together."""
    found = Match(graph, [[] for _ in graph.groups], [[] for _ in graph.groups])
    groups: dict[str, list[int]] = {}
    for index, group in enumerate(graph.groups):
        groups.setdefault(group.name.lower(), []).append(index)
    by_name: dict[str, list[Mention]] = {}
    for mention in mentions:
        if mention.name not in groups:
            if not mention.short:
                found.unknown.append(mention)
        elif mention.negated:
            found.denied.append(mention)
        elif not mention.short or mention.definite:
            by_name.setdefault(mention.name, []).append(mention)
    for name, named in by_name.items():
        if len(groups[name]) == 1:
            index = groups[name][0]
            found.mentions[index] = found.claims[index] = named
            found.options |= {id(mention): [index] for mention in named}
        else:
            _match_several(named, groups[name], found, vocabulary)
    return found


def _match_several(named: list[Mention], indices: list[int], found: Match, vocabulary: Vocabulary) -> None:
    graph = found.graph
    scores = [[_score(m, graph.groups[i], vocabulary) for i in indices] for m in named]
    owners = _assign(named, scores, len(indices))
    for place, mention in enumerate(named):
        if place in owners:
            chosen = [owners[place]]
        else:
            best = max(scores[place])
            chosen = [column for column, score in enumerate(scores[place]) if score == best]
        options = [indices[column] for column in chosen]
        together = False
        if place not in owners and mention.number is not None:
            together = mention.number == found.total(graph.groups[indices[0]].name) and _fits_all(
                mention, [graph.groups[i] for i in indices], vocabulary
            )
        if together:
            options = list(indices)  # "three cars, two of them red": all of them
        found.options[id(mention)] = options
        if len(options) == 1:
            found.mentions[options[0]].append(mention)
        if len(options) == 1 or (max(scores[place]) < -1 and not together):
            found.claims[options[0]].append(mention)


def _fits_all(mention: Mention, groups: list[Group], vocabulary: Vocabulary) -> bool:
    shared = set.intersection(
        *({vocabulary.attribute_of.get(a.lower(), a.lower()) for a in g.attributes} for g in groups)
    )
    return set(mention.attributes) <= shared and all(
        place == group.position for place in mention.places for group in groups
    )


def _assign(named: list[Mention], scores: list[list[float]], columns: int) -> dict[int, int]:
    """One mention for each group, so that the scores sum up highest; mention -> group."""
    eligible = [
        [not mention.definite or score > 0 for score in row]
        for mention, row in zip(named, scores, strict=True)
    ]
    count = min(len(named), MOST_EXACT)
    best: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {0: (0.0, ())}
    for column in range(columns):
        after: dict[int, tuple[float, tuple[tuple[int, int], ...]]] = {}
        for used, (score, pairs) in best.items():
            choices = [(used, score - 100.0, pairs)]  # a group without a mention
            for place in range(count):
                if not used & (1 << place) and eligible[place][column]:
                    gained = scores[place][column] + (0.01 if not pairs or pairs[-1][0] < place else 0.0)
                    choices.append((used | 1 << place, score + gained, (*pairs, (place, column))))
            for key, value, chosen in choices:
                if key not in after or value > after[key][0]:
                    after[key] = (value, chosen)
        best = after
    return dict(max(best.values(), key=lambda choice: choice[0])[1])


def _score(mention: Mention, group: Group, vocabulary: Vocabulary) -> float:
    """How well a mention's words fit a group: +2 for each that does, -3 for each that does not."""
    score = 0.0
    if number_said(group, mention):
        score += 2 if mention.number is not None or mention.vague else 0.5
    elif number_conflict(group, mention, None):
        score -= 3
    attributes = {vocabulary.attribute_of.get(a.lower(), a.lower()) for a in group.attributes}
    for attribute in mention.attributes:
        score += 2 if attribute in attributes else -3
    score += sum(0.5 for attribute in mention.possible_attributes if attribute in attributes)
    score -= 0.1 * len(attributes - set(mention.attributes))
    for place in mention.places:
        score += 2 if place == group.position else -3
    score += sum(0.5 for place in mention.possible_places if place == group.position)
    return score


def number_said(group: Group, mention: Mention) -> bool:
    """Whether a mention states the group's quantity."""
    quantity = group.quantity
    if quantity.isdigit():
        if mention.number is not None:
            return mention.number == int(quantity)
        alone = mention.vague is None and mention.plural is not True and mention.first
        return quantity == "1" and alone and mention.determiner in ("the", "this", "that")
    return mention.number is None and mention.vague is not None and mention.vague == _class(quantity)


def number_conflict(group: Group, mention: Mention, total: int | None) -> bool:
    """Whether a mention states another quantity; "a" and "some" are none."""
    quantity = group.quantity
    if mention.number is not None:
        if total is not None and mention.number == total:
            return False
        if quantity.isdigit():
            return mention.number != int(quantity)
        return bool(quantity) or mention.determiner not in ("a", "an", "another")
    if mention.vague is not None:
        if quantity.isdigit():
            return quantity == "1"
        return mention.vague != _class(quantity) if quantity else mention.vague != "some"
    return quantity == "1" and mention.plural is True


def _class(quantity: str) -> str:
    return words.VAGUE.get(quantity.split()[-1].lower(), quantity.lower()) if quantity else ""
