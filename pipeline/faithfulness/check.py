"""Whether a caption says what a scene graph says: facts found, facts missed, facts invented.

A graph's facts are its scene, and for each group its presence, quantity, each attribute and position, and
each relation. The text is read by rule, without any model, so the same text always gets the same judgement.
What it says of a vague "they" counts for a fact, never against one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.faithfulness.claims import Passage, Reading, RelationClaim
from pipeline.faithfulness.items import items_of
from pipeline.faithfulness.matching import Match, match, number_conflict, number_said
from pipeline.faithfulness.noun_phrases import find_mentions
from pipeline.faithfulness.predication import attach
from pipeline.faithfulness.relations import relations
from pipeline.faithfulness.scenes import Scenes
from pipeline.faithfulness.vocabulary import Vocabulary, vocabulary_of
from pipeline.graph.scene_graph import GroupGraph

__all__ = ["Check", "Checker", "Vocabulary", "check", "vocabulary_of"]

MOST_REMEMBERED = 4_096  # readings and judgements, of texts that come again


@dataclass(frozen=True)
class Check:
    """`facts` is how many the graph holds; `missed` and `invented` name them in words."""

    facts: int
    missed: tuple[str, ...]
    invented: tuple[str, ...]

    @property
    def recall(self) -> float | None:
        """Share of facts found, 0 to 1; None for a graph without facts."""
        return 1 - len(self.missed) / self.facts if self.facts else None

    @property
    def all_right(self) -> bool:
        return not self.missed and not self.invented


def check(text: str, graph: GroupGraph, vocabulary: Vocabulary) -> Check:
    """Compare a caption with a graph.

    Args:
        vocabulary: the words of the dataset's graphs, `graph` among them; a text is caught inventing these,
            and common attributes and relations.
    """
    if len(vocabulary.memory) > MOST_REMEMBERED:
        vocabulary.memory.clear()
    key = (text, graph)
    found = vocabulary.memory.get(key)
    if found is None:
        found = vocabulary.memory[key] = _Checker(text, graph, vocabulary).check()
    return found


class Checker:
    """Checks the captions of one dataset."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary

    def check(self, text: str, graph: GroupGraph) -> Check:
        return check(text, graph, self.vocabulary)


class _Checker:
    def __init__(self, text: str, graph: GroupGraph, vocabulary: Vocabulary) -> None:
        self.text, self.graph, self.vocabulary = text.lower(), graph, vocabulary
        reading_key = ("reading", text)
        reading = vocabulary.memory.get(reading_key)
        if reading is None:
            reading = vocabulary.memory[reading_key] = read(text, vocabulary)
        self.reading: Reading = reading
        self.match: Match = match(reading.mentions, graph, vocabulary)
        self.own_scene = list(Scenes([graph.scene]).find(self.text)) if graph.scene else []

    def check(self) -> Check:
        facts = list(self._facts())
        missed = [fact for fact, found in facts if not found]
        invented = list(
            dict.fromkeys([*self._invented_scene(), *self._invented(), *self._invented_relations()])
        )
        return Check(len(facts), tuple(missed), tuple(invented))

    def _attribute(self, attribute: str) -> str:
        return self.vocabulary.attribute_of.get(attribute.lower(), attribute.lower())

    def _facts(self) -> Iterator[tuple[str, bool]]:
        """Every fact of the graph, and whether the text states it."""
        if self.graph.scene:
            yield f"scene {self.graph.scene}", self._scene_said()
        for index, group in enumerate(self.graph.groups):
            mentions = self.match.mentions[index]
            yield group.name, bool(mentions)
            if group.quantity:
                said = any(number_said(group, m) for m in mentions) or self._sums_up(index)
                yield f"{group.quantity} {group.name}", said
            for attribute in group.attributes:
                wanted = self._attribute(attribute)
                said = any(wanted in m.attributes or wanted in m.possible_attributes for m in mentions)
                yield f"{attribute} {group.name}", said
            if group.position:
                said = any(
                    group.position in m.places or group.position in m.possible_places for m in mentions
                )
                yield f"{group.name} at {group.position}", said
        for subject, predicate, object_ in self.graph.relations:
            names = self.graph.groups[subject].name, self.graph.groups[object_].name
            said = any(
                self._holds(claim, (subject, predicate.lower(), object_)) for claim in self.reading.relations
            )
            yield f"{names[0]} {predicate} {names[1]}", said

    def _sums_up(self, index: int) -> bool:
        """Whether a text counts a group in parts: "one big airplane and five small ones" are six."""
        group = self.graph.groups[index]
        parts = [m.number for m in self.match.claims[index] if m.number is not None and not m.definite]
        return len(parts) > 1 and group.quantity.isdigit() and sum(parts) == int(group.quantity)

    def _said_twice(self, index: int) -> int | None:
        """How many objects a sentence that introduces a group twice ("one car and one car") makes of it."""
        group = self.graph.groups[index]
        found: dict[int, list[int]] = {}
        for mention in self.match.claims[index]:
            if mention.number is not None and mention.determiner is None:
                found.setdefault(mention.sentence, []).append(mention.number)
        for numbers in found.values():
            if len(numbers) > 1 and str(sum(numbers)) != group.quantity:
                return sum(numbers)
        return None

    def _scene_said(self) -> bool:
        return bool(self.own_scene)

    def _holds(self, claim: RelationClaim, relation: tuple[int, str, int]) -> bool:
        """Whether a claim says a relation, some subject and object of it taken."""
        subject, predicate, object_ = relation
        for reading, turned in claim.readings:
            if reading != predicate:
                continue
            first, second = (object_, subject) if turned else (subject, object_)
            if any(first in self.match.groups_of(m) for m in claim.subjects) and any(
                second in self.match.groups_of(m) for m in claim.objects
            ):
                return True
        return False

    def _invented_scene(self) -> Iterator[str]:
        for start, end in self.vocabulary.other_scenes.find(self.text):
            if not any((a <= start and end <= b) or (start <= a and b <= end) for a, b in self.own_scene):
                yield f"scene {self.text[start:end]}"

    def _invented(self) -> Iterator[str]:
        for mention in self.match.unknown:
            if not mention.negated:
                yield mention.name
        for index, group in enumerate(self.graph.groups):
            attributes = {self._attribute(attribute) for attribute in group.attributes}
            if (number := self._said_twice(index)) is not None:
                yield f"{number} {group.name}"
            for mention in self.match.claims[index]:
                total = self.match.total(group.name)
                if number_conflict(group, mention, total) and not self._sums_up(index):
                    yield f"{mention.number or mention.vague or 'several'} {group.name}"
                for attribute in mention.attributes:
                    if attribute not in attributes:
                        yield f"{attribute} {group.name}"
                for place in mention.places:
                    if place != group.position:
                        yield f"{group.name} at {place}"
                for denied in mention.denied:
                    if denied in attributes or denied == group.position:
                        yield f"not {denied} {group.name}"
        for mention in self.match.denied:
            yield f"no {mention.name}"

    def _invented_relations(self) -> Iterator[str]:
        """Relations claimed for sure between groups of the graph, of which none of the readings is in it."""
        for claim in self.reading.relations:
            if not claim.sure or any(self._holds(claim, _lower(r)) for r in self.graph.relations):
                continue
            subjects = self.match.groups_of(claim.subjects[0])
            objects = self.match.groups_of(claim.objects[0])
            if subjects and objects:
                names = [self.graph.groups[groups[0]].name for groups in (subjects, objects)]
                yield f"{names[0]} {claim.text} {names[1]}"


def _lower(relation: tuple[int, str, int]) -> tuple[int, str, int]:
    return relation[0], relation[1].lower(), relation[2]


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a caption. Needs no graph: what it claims is compared afterwards."""
    passage = Passage(items_of(text, vocabulary), vocabulary)
    find_mentions(passage)
    attach(passage)
    return Reading(passage.mentions, relations(passage))
