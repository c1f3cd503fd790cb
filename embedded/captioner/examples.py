"""Training examples of the captioner, made as they are needed, of open-vocabulary graphs and scenes."""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

import numpy as np

from embedded.captioner.edits import modify
from embedded.captioner.held_out import has_held_out
from embedded.captioner.random_graphs import Names, random_graph
from embedded.world.edits import as_group, random_change, sample_scene
from embedded.world.model import Scene
from embedded.world.phrasings import phrase_modification
from embedded.world.vocabulary import DATASETS
from pipeline.graph.edits import apply_edits
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import verbalise
from pipeline.pairs.difference import difference
from pipeline.pairs.wording import STYLES, worded

WORLD_GROUPS = 5  # scenes of the world join once graphs are as big as theirs
BY_RULE = 0.25  # of the modifications of open graphs: the share worded as `pairs` words those it makes
MOST_FACTS = 3  # of such a modification


class Example(NamedTuple):
    """A user message, the caption that answers it, and the caption before the edit, if there is one."""

    message: str
    caption: str
    before: str | None = None


Source = Callable[[Random], Example]


def user_message(graph: GroupGraph, modification: str | None = None) -> str:
    """The last user message of a prompt, as the language stages write it."""
    text = serialise(graph)
    return text if modification is None else f"{text}\nModification: {modification}"


def open_example(
    rng: Random, names: Names, *, edited: bool, by_rule: bool = False, most_groups: int = 12
) -> Example:
    """A graph over an open vocabulary, with a modification if `edited`; no combination in it is held out.

    Args:
        by_rule: the modification is worded by the rules of `pipeline.pairs`.
    """
    while True:
        graph = random_graph(rng, names, most_groups)
        if has_held_out(graph):
            continue
        if not edited:
            return Example(user_message(graph), verbalise(graph))
        change = modify(rng, graph, names)
        if change is None or has_held_out(change[0]):
            continue
        after, text = change
        if by_rule:
            changes = difference(graph, after, MOST_FACTS)
            if changes is None:
                continue
            text = worded(changes, rng.choice(STYLES))
        return Example(user_message(graph, text), verbalise(after), verbalise(graph))


def _sample(rng: Random) -> tuple[np.random.Generator, Scene, GroupGraph]:
    draws = np.random.default_rng(rng.getrandbits(64))
    scene = sample_scene(draws, rng.choice(DATASETS))
    return draws, scene, scene_groups(scene)


def scene_groups(scene: Scene) -> GroupGraph:
    """The same as `group_objects(scene_graph(scene))`, without laying out every object."""
    index = {group.uid: number for number, group in enumerate(scene.groups)}
    relations = tuple((index[r.satellite], r.predicate, index[r.anchor]) for r in scene.relations)
    return GroupGraph(scene.scene, tuple(map(as_group, scene.groups)), relations)


def plain_scene(rng: Random, held_out: bool = False) -> Example:
    """The graph of a random scene, to be put into words.

    It has no held-out combination; with `held_out`, which is for evaluation alone, at least one.
    """
    while True:
        _, _, graph = _sample(rng)
        if has_held_out(graph) is held_out:
            return Example(user_message(graph), verbalise(graph))


def edited_scene(rng: Random, split: str = "train", held_out: bool = False) -> Example:
    """The graph of a random scene and a change of it; only the split `test` has phrasings not trained on.

    Neither the graph nor the graph after the change has a held-out combination; with `held_out`, which is for
    evaluation alone, the graph after the change has at least one.
    """
    while True:
        draws, scene, graph = _sample(rng)
        if not held_out and has_held_out(graph):
            continue
        change = random_change(draws, scene)
        if change is None:
            continue
        after = apply_edits(graph, change.edits(scene))
        if has_held_out(after) is held_out:
            text = phrase_modification(draws, scene, change, split)
            return Example(user_message(graph, text), verbalise(after), verbalise(graph))


def examples(rng: Random, groups: int, world: float, edited: float) -> Iterator[Example]:
    """Endless examples for interpretations and pseudo captions, of graphs of up to `groups` groups.

    Args:
        world: the share on scenes of the world.
        edited: the share with a modification.
    """
    names, on_world = Names(), world if groups >= WORLD_GROUPS else 0.0

    def open_source(edited: bool) -> Source:
        return lambda rng: open_example(
            rng, names, edited=edited, by_rule=edited and rng.random() < BY_RULE, most_groups=groups
        )

    sources = (open_source(False), open_source(True), plain_scene, edited_scene)
    shares = [share * kind for share in (1 - on_world, on_world) for kind in (1 - edited, edited)]
    while True:
        yield rng.choices(sources, shares)[0](rng)
