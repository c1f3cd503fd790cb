"""A text, once read, compared with a graph: facts found and claims that the graph contradicts."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Reading, RelationClaim
from pipeline.faithfulness.labels import plain, plain_label, words_of_scene
from pipeline.faithfulness.matching import match, number_conflict, states_quantity, vague_class
from pipeline.faithfulness.scenes import Scenes, is_denied, is_scene, said_apart, spellings
from pipeline.faithfulness.vocabulary import Vocabulary, tokenise
from pipeline.graph.scene_graph import Group, GroupGraph, count_of

_finder = lru_cache(1024)(lambda scene: Scenes(spellings(scene)))
_common = Scenes(words.COMMON_SCENES)


class Comparison:
    """Compares what a text says with the facts of a graph.

    Args:
        reading: of `text`.
    """

    def __init__(self, text: str, reading: Reading, graph: GroupGraph, vocabulary: Vocabulary) -> None:
        self._text, self._reading, self._graph, self._vocabulary = plain(text), reading, graph, vocabulary
        self._match = match(reading.mentions, graph, vocabulary)
        self._attributes = [vocabulary.meanings(group.attributes) for group in graph.groups]
        self._free = list(map(_free_looks, graph.groups, self._attributes))
        self._relations = [(s, vocabulary.predicate_of(said), o) for s, said, o in graph.relations]
        self._scene = graph.scene if graph.scene and words_of_scene(graph.scene) else None
        found = _finder(self._scene).find(self._text) if self._scene else ()
        self._own_scene = [span for span in found if not is_denied(self._text, span)]

    def facts(self) -> Iterator[tuple[str, bool | None]]:
        """Every fact of the graph, and whether the text states it; None if it cannot be searched for."""
        graph = self._graph
        if graph.scene:
            yield f"scene {graph.scene}", self._says_scene() if self._scene else None
        for index, group in enumerate(graph.groups):
            known = self._match.names[index] is not None
            yield from ((fact, stated if known else None) for fact, stated in self._facts_of(index, group))
        for (subject, predicate, object_), relation in zip(graph.relations, self._relations, strict=True):
            known = relation[1] is not None and all(
                self._match.names[end] is not None for end in (subject, object_)
            )
            stated = any(
                self._holds(claim, relation) for claim in self._reading.relations if not claim.denied
            )
            fact = f"{graph.groups[subject].name} {predicate} {graph.groups[object_].name}"
            yield fact, stated if known else None

    def _says_scene(self) -> bool:
        """Whether the scene is named, or the objects it is named after: an airplane scene's airplanes."""
        name = self._vocabulary.name_of(self._scene or "")
        named = zip(self._match.names, self._match.mentions, strict=True)
        if self._own_scene or any(mentions and other == name for other, mentions in named):
            return True
        return said_apart(self._text, self._scene or "")

    def _facts_of(self, index: int, group: Group) -> Iterator[tuple[str, bool | None]]:
        mentions = self._match.mentions[index]
        yield group.name, bool(mentions)
        if group.quantity:
            counted = any(states_quantity(group, mention) for mention in mentions) or self._sums_up(index)
            stateable = count_of(group.quantity) is not None or vague_class(group.quantity) is not None
            yield f"{group.quantity} {group.name}", counted if stateable else None
        claims = [claim for m in mentions for claim in m.claims if claim.force != "denied"]
        claimed = {claim.value for claim in claims if claim.aspect == "attribute"}
        for attribute, meaning in zip(group.attributes, self._attributes[index], strict=True):
            yield f"{attribute} {group.name}", None if meaning is None else meaning in claimed
        if group.position:
            claimed = {claim.value for claim in claims if claim.aspect == "position"}
            yield f"{group.name} at {group.position}", group.position in claimed

    def inventions(self) -> Iterator[str]:
        """What the text says and the graph does not; an item may occur twice."""
        yield from self._invented_scenes()
        scene = self._scene and self._vocabulary.name_of(self._scene)
        for mention in self._match.unknown:
            if not mention.negated and mention.name != scene:
                yield mention.name
        for index in range(len(self._graph.groups)):
            yield from self._invented_of(index)
        for mention in self._match.denied:
            yield f"no {mention.name}"
        yield from self._invented_relations()
        yield from self._invented_places()
        yield from self._reading.faults
        if None not in self._match.names:  # else a strange noun may be the object that is not searched for
            yield from self._reading.strange
        yield from self._repetitions()

    def _invented_places(self) -> Iterator[str]:
        """Positions that are of one of several objects, but of none in the graph."""
        groups = self._graph.groups
        for position, mentions in self._reading.places:
            meant = [groups[index] for mention in mentions for index in self._match.groups_of(mention)]
            if meant and all(group.position != position for group in meant):
                yield f"{meant[0].name} at {position}"

    def _repetitions(self) -> Iterator[str]:
        """Sentences said too often: once for each relation that reads the same is right."""
        groups = self._graph.groups
        relations = Counter((groups[s].name, said, groups[o].name) for s, said, o in self._graph.relations)
        allowed = max(relations.values(), default=1)
        for sentence, count in self._reading.repeated.items():
            if count > allowed:
                yield f"repetition '{sentence}'"

    def _sums_up(self, index: int) -> bool:
        """Whether a text gives a group's number as a sum: "one big airplane and five small ones" are six."""
        numbers = [
            mention.number
            for mention in self._match.claims[index]
            if mention.number is not None and not mention.definite
        ]
        return len(numbers) > 1 and sum(numbers) == count_of(self._graph.groups[index].quantity)

    def _repeated(self, index: int) -> int | None:
        """The wrong number that a sentence gives a group by introducing it twice: "one car and one car"."""
        numbers: dict[int, list[int]] = defaultdict(list)
        for mention in self._match.claims[index]:
            if mention.number is not None and mention.determiner is None:
                numbers[mention.sentence].append(mention.number)
        wrong = (
            sum(summands)
            for summands in numbers.values()
            if len(summands) > 1 and sum(summands) != count_of(self._graph.groups[index].quantity)
        )
        return next(wrong, None)

    def _holds(self, claim: RelationClaim, relation: tuple[int, str | None, int]) -> bool:
        """Whether a claim states a relation, with at least one of its subjects and objects."""
        subject, predicate, object_ = relation
        for reading, turned in claim.readings:
            if reading == predicate:
                first, second = (object_, subject) if turned else (subject, object_)
                if any(first in self._match.groups_of(m) for m in claim.subjects) and any(
                    second in self._match.groups_of(m) for m in claim.objects
                ):
                    return True
        return False

    def _invented_scenes(self) -> Iterator[str]:
        text, vocabulary = self._text, self._vocabulary
        kin = {name for names in words.KINDRED_SCENES if self._graph.scene in names for name in names}
        common = (
            (start, end)
            for start, end in _common.find(text)
            if text[start:end] not in kin and is_scene(text, (start, end))
        )
        for start, end in (*vocabulary.other_scenes.find(text), *common):
            words_said = text[start:end]
            if is_denied(text, (start, end)) or vocabulary.names_object(words_said):
                continue
            if plain_label(self._scene or "").endswith(f" {words_said}"):
                continue  # "the park" of a city park
            if not any((a <= start and end <= b) or (start <= a and b <= end) for a, b in self._own_scene):
                yield f"scene {words_said}"

    def _invented_of(self, index: int) -> Iterator[str]:
        """Wrong quantities, attributes and positions of a group, and facts of it that are denied."""
        group, attributes, free = self._graph.groups[index], self._attributes[index], self._free[index]
        if (number := self._repeated(index)) is not None:
            yield f"{number} {group.name}"
        total = self._match.total(self._match.names[index])
        for mention in self._match.claims[index]:
            if number_conflict(group, mention, total) and not self._sums_up(index):
                yield f"{mention.number or mention.vague or 'several'} {group.name}"
            for value in mention.attributes:
                if value not in attributes and value not in free:
                    yield f"{value} {group.name}"
            for value in mention.positions:
                if value != group.position:
                    yield f"{group.name} at {value}"
            for _, value, force in mention.claims:
                if force == "denied" and (value in attributes or value == group.position):
                    yield f"not {value} {group.name}"

    def _invented_relations(self) -> Iterator[str]:
        """Relations that are claimed for sure and the graph lacks, and those denied that it has."""
        for claim in self._reading.relations:
            held = any(self._holds(claim, relation) for relation in self._relations)
            if not claim.sure or held is not claim.denied:
                continue
            subjects = self._match.groups_of(claim.subjects[0])
            objects = self._match.groups_of(claim.objects[0])
            if subjects and objects:
                subject, object_ = self._graph.groups[subjects[0]], self._graph.groups[objects[0]]
                denied = "not " if claim.denied else ""
                yield f"{denied}{subject.name} {claim.text} {object_.name}"


def _free_looks(group: Group, meanings: Sequence[str | None]) -> set[str]:
    """Words of attributes that are not searched for, as "black and white"; a text may name these looks."""
    said = (tokenise(name) for name, meaning in zip(group.attributes, meanings, strict=True) if not meaning)
    return {word for found in said if words.NEGATIONS.isdisjoint(found) for word in found}
