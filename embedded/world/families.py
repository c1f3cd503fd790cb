"""Families: one base scene, fifteen changes of it, two sites. A family lies in one split.

Every family is made from a hash of seed, theme, split and index: alone, in any order, in any process.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from embedded.world.draws import choose, hashed_rng
from embedded.world.edits import Change, possible_changes, random_change, sample_addition
from embedded.world.model import Scene, Site
from embedded.world.phrasings import phrase_modification
from embedded.world.scene import sample_base, sample_site, scene_graph
from embedded.world.vocabulary import COLOURS, EDIT_KINDS, OBJECTS
from pipeline.graph.scene_graph import group_objects

CHANGES_PER_FAMILY = 2 * len(EDIT_KINDS) + 1
SITES = ("a", "b")
IMAGES_PER_FAMILY = len(SITES) * (1 + CHANGES_PER_FAMILY)
_TRIES = 1000


@dataclass(frozen=True)
class Query:
    """From the base at a site to scene `target` (1-15) at the same site."""

    site: int  # index into `SITES`
    target: int
    change: Change
    modification: str


@dataclass(frozen=True)
class Family:
    """`scenes[site][k]`: k = 0 is the base, k > 0 the base after `changes[k - 1]`."""

    split: str
    index: int
    base: Scene
    changes: tuple[Change, ...]
    sites: tuple[Site, Site]
    scenes: tuple[tuple[Scene, ...], tuple[Scene, ...]]
    queries: tuple[Query, ...]


def graph_digest(scene: Scene) -> bytes:
    """sha256 of what the scene's graph says, without order: equal for twins, and for no other two scenes."""
    graph = group_objects(scene_graph(scene))
    relations = {(graph.groups[s], predicate, graph.groups[o]) for s, predicate, o in graph.relations}
    text = repr((graph.scene, sorted(map(repr, set(graph.groups))), sorted(map(repr, relations))))
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
    sites = (base.site, sample_site(rng, base.scene, unlike=base.site))
    graphs = (base, *(change.apply(base) for change in changes))
    scenes = tuple(tuple(scene.at(site) for scene in graphs) for site in sites)
    texts_rng = hashed_rng("words", seed, theme, split, index)
    queries = tuple(
        Query(site, k, change, phrase_modification(texts_rng, base, change, split))
        for site in range(len(SITES))
        for k, change in enumerate(changes, 1)
    )
    return Family(split, index, base, changes, sites, scenes, queries)  # type: ignore[arg-type]


def _choose_changes(rng: np.random.Generator, base: Scene) -> tuple[Change, ...] | None:
    """Two changes of each kind, of one group where that can be, and one more; None where base has too few."""
    changes: list[Change] = []
    for kind in EDIT_KINDS:
        pair = _two(rng, base, kind)
        if pair is None:
            return None
        changes += pair
    digests = {graph_digest(base), *(graph_digest(change.apply(base)) for change in changes)}
    if len(digests) != len(changes) + 1:
        return None
    for _ in range(_TRIES):
        more = random_change(rng, base)
        if more is not None and graph_digest(more.apply(base)) not in digests:
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
        options = choose(rng, rich) if rich else []
    if len(options) < 2:
        return None
    first, second = rng.choice(len(options), 2, replace=False)
    return [options[int(first)], options[int(second)]]


def _two_additions(rng: np.random.Generator, base: Scene) -> list[Change] | None:
    """The same group at two positions, or in two colours: one fact apart."""
    first = sample_addition(rng, base)
    if first is None or first.new is None:
        return None
    group = first.new
    if OBJECTS[group.name].colourable and rng.random() < 0.5:
        colours = [colour for colour in COLOURS if colour != group.colour]
        second = replace(group, colour=choose(rng, colours))
    else:
        positions = [position for position in base.free_positions() if position != group.position]
        second = replace(group, position=choose(rng, positions))
    return [first, replace(first, new=second)]
