"""Families: one base scene, fifteen changes of it, two places. A family lies in one split.

Every family is made from a hash of seed, theme, split and index: alone, in any order, in any process.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from embedded.world.edits import Change, possible_changes, random_change, sample_addition
from embedded.world.model import Place, Scene
from embedded.world.phrasings import phrase_modification
from embedded.world.scene import sample_base, sample_place, scene_graph
from embedded.world.vocabulary import COLOURS, EDIT_KINDS, OBJECTS
from pipeline.graph.scene_graph import GroupGraph, group_objects

CHANGES_PER_FAMILY = 2 * len(EDIT_KINDS) + 1
PLACES = ("a", "b")
_TRIES = 1000

GraphKey = tuple[str | None, frozenset, frozenset]


@dataclass(frozen=True)
class Query:
    """From the base at a place to scene `target` (1-15) at the same place."""

    place: int
    target: int
    change: Change
    modification: str


@dataclass(frozen=True)
class Family:
    """`scenes[place][k]`: k = 0 is the base, k > 0 the base after `changes[k - 1]`."""

    theme: str
    split: str
    index: int
    base: Scene
    changes: tuple[Change, ...]
    places: tuple[Place, Place]
    scenes: tuple[tuple[Scene, ...], tuple[Scene, ...]]
    queries: tuple[Query, ...]


def hashed_rng(*parts: object) -> np.random.Generator:
    """A generator seeded by the sha256 of the parts' text."""
    digest = hashlib.sha256("/".join(str(part) for part in parts).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def graph_key(scene: Scene) -> GraphKey:
    """What the scene's graph says, without order: equal for twins, and for no other two scenes."""
    graph: GroupGraph = group_objects(scene_graph(scene))
    relations = frozenset(
        (graph.groups[s], predicate, graph.groups[o]) for s, predicate, o in graph.relations
    )
    return graph.scene, frozenset(graph.groups), relations


def graph_digest(scene: Scene) -> bytes:
    """sha256 of `graph_key`."""
    name, groups, relations = graph_key(scene)
    text = repr((name, sorted(map(repr, groups)), sorted(map(repr, relations))))
    return hashlib.sha256(text.encode()).digest()


def family(seed: int, theme: str, index: int, split: str) -> Family:
    """One family of a world.

    Args:
        seed: of the world.
        theme: whose objects and scene names are used: airplane, tennis or mixed.
        index: of the family in its split.
        split: train, val or test; some phrasings are kept for test.
    """
    rng = hashed_rng("scenes", seed, theme, split, index)
    for _ in range(_TRIES):
        base = sample_base(rng, theme)
        changes = _choose_changes(rng, base)
        if changes is not None:
            break
    else:
        raise RuntimeError(f"no base of '{theme}' allows every kind of change")
    places = (base.place, sample_place(rng, base.scene, unlike=base.place))
    graphs = (base, *(change.apply(base) for change in changes))
    scenes = tuple(tuple(scene.at(place) for scene in graphs) for place in places)
    words = hashed_rng("words", seed, theme, split, index)
    queries = tuple(
        Query(place, k + 1, change, phrase_modification(words, base, change, split))
        for place in range(len(PLACES))
        for k, change in enumerate(changes)
    )
    return Family(theme, split, index, base, changes, places, scenes, queries)  # type: ignore[arg-type]


def _choose_changes(rng: np.random.Generator, base: Scene) -> tuple[Change, ...] | None:
    """Two changes of each kind, of one group where that can be, and one more; None where base has too few."""
    changes: list[Change] = []
    for kind in EDIT_KINDS:
        pair = _two(rng, base, kind)
        if pair is None:
            return None
        changes += pair
    keys = {graph_key(base), *(graph_key(change.apply(base)) for change in changes)}
    if len(keys) != len(changes) + 1:
        return None
    for _ in range(_TRIES):
        more = random_change(rng, base)
        if more is not None and graph_key(more.apply(base)) not in keys:
            changes.append(more)
            return tuple(changes[k] for k in rng.permutation(len(changes)))
    return None


def _two(rng: np.random.Generator, base: Scene, kind: str) -> list[Change] | None:
    if kind == "add":
        return _two_additions(rng, base)
    by_group = possible_changes(base, kind)
    if kind == "remove":
        options = [changes[0] for changes in by_group.values()]
    else:
        rich = [changes for changes in by_group.values() if len(changes) > 1]
        options = rich[int(rng.integers(len(rich)))] if rich else []
    if len(options) < 2:
        return None
    first, second = rng.choice(len(options), 2, replace=False)
    return [options[int(first)], options[int(second)]]


def _two_additions(rng: np.random.Generator, base: Scene) -> list[Change] | None:
    """The same group at two places, or in two colours: one fact apart."""
    first = sample_addition(rng, base)
    if first is None or first.new is None:
        return None
    group = first.new
    if OBJECTS[group.name].colourable and rng.random() < 0.5:
        colours = [colour for colour in COLOURS if colour != group.colour]
        second = replace(group, colour=colours[int(rng.integers(len(colours)))])
    else:
        positions = [position for position in base.free_positions() if position != group.position]
        second = replace(group, position=positions[int(rng.integers(len(positions)))])
    return [first, replace(first, new=second)]
