"""Training captions: random subsets of a graph's facts in many sentence forms, and the facts they state.

The forms differ from those of the captioner, so that the pretrained encoder meets the task's language for the
first time when it is tuned; most words are the same, but ten are not (`general_world.py`).
Few captions hold the scene's name: as the only word for the whole image it would solve the contrastive task
by itself, and the encoder would not learn the objects.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import Group, GroupGraph, mention
from pipeline.graph.verbalise import is_plural, number_word

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
    return Caption(_write(_reordered(graph, order), rng), facts_of(graph))


def describe_some(graph: GroupGraph, rng: random.Random) -> Caption:
    """From one group to all of them, attributes, number, position and relations each dropped at random."""
    return describe(subset(graph, rng), rng)


def subset(graph: GroupGraph, rng: random.Random) -> GroupGraph:
    """A graph of some of the facts of `graph`; at least one group stays.

    Half of the time no position stays: without positions, numbers and sizes decide between images.
    """
    groups = len(graph.groups)
    chosen = sorted(rng.sample(range(groups), min(groups, rng.choice((1, 1, 2, 2, 3, groups)))))
    drop = rng.choice((0.0, 0.0, 0.2, 0.5))
    drop_position = rng.choice((drop, 1.0))
    smaller = _reordered(graph, chosen)
    thinned = tuple(
        Group(
            quantity="" if rng.random() < drop else group.quantity,
            name=group.name,
            attributes=tuple(a for a in group.attributes if rng.random() >= drop),
            position=None if rng.random() < drop_position else group.position,
        )
        for group in smaller.groups
    )
    relations = tuple(relation for relation in smaller.relations if rng.random() >= drop / 2)
    return GroupGraph(graph.scene, thinned, relations)


def _reordered(graph: GroupGraph, order: Sequence[int]) -> GroupGraph:
    """The graph of the groups numbered in `order`, in that order, and of the relations among them."""
    index = {old: new for new, old in enumerate(order)}
    relations = ((s, predicate, o) for s, predicate, o in graph.relations if s in index and o in index)
    return GroupGraph(
        graph.scene,
        tuple(graph.groups[old] for old in order),
        tuple((index[s], predicate, index[o]) for s, predicate, o in relations),
    )


def _in_number(name: str, group: Group) -> str:
    """A group's name, whatever stands before it, in the plural where the group is several."""
    return pluralise(name) if is_plural(group.quantity) else name


def _noun_phrase(group: Group, rng: random.Random) -> str:
    attributes_first = rng.random() < 0.7
    attributes = rng.sample(group.attributes, len(group.attributes))
    number = number_word(int(group.quantity)) if group.quantity.isdigit() else group.quantity
    if attributes_first or not attributes:
        return " ".join(filter(None, (number, *attributes, _in_number(group.name, group))))
    joined = " and ".join(attributes)
    verb = "are" if is_plural(group.quantity) else "is"
    form = rng.choice((f", {joined}", f" that {verb} {joined}", f" ({joined})"))
    return f"{number} {_in_number(group.name, group)}".strip() + form


# {phrase} is a group, {where} its position; {is} and {lies} agree with the group
WITH_POSITION = (
    "{where}: {phrase}",
    "in the {where} there {is} {phrase}",
    "the {where} shows {phrase}",
    "the {where} has {phrase}",
    "{phrase} in the {where}",
    "{phrase} on the {where}",
    "{phrase} ({where})",
    "{phrase}, {where}",
    "there {is} {phrase} in the {where}",
    "{phrase} towards the {where}",
    "{phrase} {lies} in the {where}",
)
WITHOUT_POSITION = ("{phrase}", "{phrase}", "there {is} {phrase}", "we see {phrase}")
OPENINGS = ("", "", "", "", "", "from above: ", "an aerial view with ", "seen from the air: ", "an image of ")
JOINERS = (", ", "; ", ". ", " and ", ", with ", " | ", " plus ")


def _relation(graph: GroupGraph, relation: tuple[int, str, int], rng: random.Random) -> str:
    subject, predicate, object_ = relation
    first, second = (_in_number(mention(graph, index), graph.groups[index]) for index in (subject, object_))
    verb = "stand" if is_plural(graph.groups[subject].quantity) else "stands"
    return rng.choice(
        (
            f"{first} {predicate} {second}",
            f"the {first} {verb} {predicate} the {second}",
            f"{predicate} the {second}: the {first}",
        )
    )


def _write(graph: GroupGraph, rng: random.Random) -> str:
    mixed = rng.random() < 0.5
    forms = rng.choice(WITH_POSITION), rng.choice(WITHOUT_POSITION)
    clauses = []
    for group in graph.groups:
        if mixed:
            forms = rng.choice(WITH_POSITION), rng.choice(WITHOUT_POSITION)
        many = is_plural(group.quantity)
        verbs = {"is": "are" if many else "is", "lies": "lie" if many else "lies"}
        form = forms[0] if group.position else forms[1]
        clauses.append(form.format(phrase=_noun_phrase(group, rng), where=group.position, **verbs))
    relations = [_relation(graph, relation, rng) for relation in graph.relations]
    clauses = relations + clauses if rng.random() < 0.3 else clauses + relations
    text = rng.choice(OPENINGS) + _join(clauses, rng)
    if graph.scene and rng.random() < SCENE_RATE:
        text += f" ({graph.scene})"
    text = text[0].upper() + text[1:] if rng.random() < 0.5 else text
    return text + rng.choice(("", "."))


def _join(clauses: Sequence[str], rng: random.Random) -> str:
    joiner = rng.choice(JOINERS)
    if joiner == ". ":
        clauses = [clause[0].upper() + clause[1:] for clause in clauses]
    return joiner.join(clauses)
