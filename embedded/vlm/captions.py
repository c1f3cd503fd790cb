"""Training captions: random subsets of a graph's facts in many sentence forms, and the facts they state.

The forms differ from those of the captioner, so that the pretrained encoder meets the task's language for the
first time when it is tuned; the words for names, attributes, positions, numbers and relations are the same.
The scene's name is said in few captions: as the only thing said of the place it would win the contrastive
loss by itself, and the encoder would stay blind to objects.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import is_plural, number_word, pluralise

SCENE_RATE = 0.04

Fact = tuple[str, ...]


@dataclass(frozen=True)
class Caption:
    """A text and the facts it states, as tuples of words such as ("car", "red") or ("car", "top left")."""

    text: str
    facts: frozenset[Fact]


def facts_of(graph: GroupGraph) -> frozenset[Fact]:
    """The bag of facts that a caption of all of `graph` states.

    A name or a position, each alone and with every word that stands with it: ("car",), ("car", "red"),
    ("car", "#2"), ("car", "@top left"), ("@top left",), ("@top left", "red"); relations whole and in halves:
    ("car", "above", "hangar"), ("car", "above"), ("above", "hangar"), ("@top left", "above"). A caption of
    fewer facts has a subset of this bag, so a subset test says whether a caption can hold for a graph.
    """
    bag: set[Fact] = set()
    for group in graph.groups:
        words = [*group.attributes, *([f"#{group.quantity}"] if group.quantity else [])]
        bag.add((group.name,))
        bag.update((group.name, word) for word in words)
        if group.position:
            where = f"@{group.position}"
            bag.update(((group.name, where), (where,)))
            bag.update((where, word) for word in words)
    for subject, predicate, object_ in graph.relations:
        first, second = graph.groups[subject].name, graph.groups[object_].name
        bag.update(((first, predicate, second), (first, predicate), (predicate, second)))
        if graph.groups[subject].position:
            bag.add((f"@{graph.groups[subject].position}", predicate))
    return frozenset(bag)


def describe(graph: GroupGraph, rng: random.Random) -> Caption:
    """Every fact of `graph`, groups in random order, in a random form."""
    order = rng.sample(range(len(graph.groups)), len(graph.groups))
    place = {old: new for new, old in enumerate(order)}
    shuffled = replace(
        graph,
        groups=tuple(graph.groups[old] for old in order),
        relations=tuple((place[s], predicate, place[o]) for s, predicate, o in graph.relations),
    )
    return Caption(_write(shuffled, rng), facts_of(graph))


def describe_some(graph: GroupGraph, rng: random.Random) -> Caption:
    """From one group to all of them, attributes, number, position and relations each dropped at random."""
    return describe(subset(graph, rng), rng)


def subset(graph: GroupGraph, rng: random.Random) -> GroupGraph:
    """A graph of some of the facts of `graph`; at least one group stays.

    Half of the time no position is said: where places do not, numbers and sizes decide between images.
    """
    groups = len(graph.groups)
    chosen = sorted(rng.sample(range(groups), min(groups, rng.choice((1, 1, 2, 2, 3, groups)))))
    drop = rng.choice((0.0, 0.0, 0.2, 0.5))
    drop_position = rng.choice((drop, 1.0))
    kept = []
    for old in chosen:
        group = graph.groups[old]
        kept.append(
            Group(
                quantity="" if rng.random() < drop else group.quantity,
                name=group.name,
                attributes=tuple(a for a in group.attributes if rng.random() >= drop),
                position=None if rng.random() < drop_position else group.position,
            )
        )
    place = {old: new for new, old in enumerate(chosen)}
    relations = tuple(
        (place[s], predicate, place[o])
        for s, predicate, o in graph.relations
        if s in place and o in place and rng.random() >= drop / 2
    )
    return GroupGraph(graph.scene, tuple(kept), relations)


def _number(group: Group) -> str:
    return number_word(int(group.quantity)) if group.quantity.isdigit() else group.quantity


def _name(group: Group) -> str:
    return pluralise(group.name) if is_plural(group.quantity) else group.name


def _words(*words: str) -> str:
    return " ".join(word for word in words if word)


def _attributes_before(group: Group, rng: random.Random) -> str:
    attributes = rng.sample(group.attributes, len(group.attributes))
    return _words(_number(group), " ".join(attributes), _name(group))


def _attributes_after(group: Group, rng: random.Random) -> str:
    attributes = rng.sample(group.attributes, len(group.attributes))
    if not attributes:
        return _words(_number(group), _name(group))
    joined = " and ".join(attributes)
    form = rng.choice(
        (f", {joined}", f" that {'are' if is_plural(group.quantity) else 'is'} {joined}", f" ({joined})")
    )
    return _words(_number(group), _name(group)) + form


def _noun_phrase(group: Group, rng: random.Random) -> str:
    return (_attributes_before if rng.random() < 0.7 else _attributes_after)(group, rng)


Form = Callable[[str, str, bool], str]
PLACED: tuple[Form, ...] = (
    lambda phrase, where, many: f"{where}: {phrase}",
    lambda phrase, where, many: f"in the {where} there {'are' if many else 'is'} {phrase}",
    lambda phrase, where, many: f"the {where} shows {phrase}",
    lambda phrase, where, many: f"the {where} has {phrase}",
    lambda phrase, where, many: f"{phrase} in the {where}",
    lambda phrase, where, many: f"{phrase} on the {where}",
    lambda phrase, where, many: f"{phrase} ({where})",
    lambda phrase, where, many: f"{phrase}, {where}",
    lambda phrase, where, many: f"there {'are' if many else 'is'} {phrase} in the {where}",
    lambda phrase, where, many: f"{phrase} towards the {where}",
    lambda phrase, where, many: f"{phrase} {'lie' if many else 'lies'} in the {where}",
)
UNPLACED: tuple[Form, ...] = (
    lambda phrase, where, many: phrase,
    lambda phrase, where, many: phrase,
    lambda phrase, where, many: f"there {'are' if many else 'is'} {phrase}",
    lambda phrase, where, many: f"we see {phrase}",
)
OPENINGS = ("", "", "", "", "", "from above: ", "an aerial view with ", "seen from the air: ", "an image of ")
JOINERS = (", ", "; ", ". ", " and ", ", with ", " | ", " plus ")


def _relation(graph: GroupGraph, relation: tuple[int, str, int], rng: random.Random) -> str:
    subject, predicate, object_ = relation
    names = [group.name for group in graph.groups]

    def say(place: int) -> str:
        group = graph.groups[place]
        ambiguous = names.count(group.name) > 1
        return _words(*(group.attributes if ambiguous else ()), _name(group))

    many = is_plural(graph.groups[subject].quantity)
    first, second = say(subject), say(object_)
    return rng.choice(
        (
            f"{first} {predicate} {second}",
            f"the {first} {'stand' if many else 'stands'} {predicate} the {second}",
            f"{predicate} the {second}: the {first}",
        )
    )


def _write(graph: GroupGraph, rng: random.Random) -> str:
    mixed = rng.random() < 0.5
    placed, unplaced = rng.choice(PLACED), rng.choice(UNPLACED)
    clauses = []
    for group in graph.groups:
        if mixed:
            placed, unplaced = rng.choice(PLACED), rng.choice(UNPLACED)
        form = placed if group.position else unplaced
        clauses.append(form(_noun_phrase(group, rng), group.position or "", is_plural(group.quantity)))
    relations = [_relation(graph, relation, rng) for relation in graph.relations]
    if rng.random() < 0.3:
        clauses = relations + clauses
    else:
        clauses += relations
    text = rng.choice(OPENINGS) + _join(clauses, rng)
    if graph.scene and rng.random() < SCENE_RATE:
        text += f" ({graph.scene})"
    text = text[0].upper() + text[1:] if rng.random() < 0.5 else text
    return text + rng.choice(("", "."))


def _join(clauses: Sequence[str], rng: random.Random) -> str:
    joiner = rng.choice(JOINERS)
    if joiner == ". ":
        return ". ".join(clause[0].upper() + clause[1:] for clause in clauses)
    return joiner.join(clauses)
