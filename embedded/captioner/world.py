"""Examples on scenes of the procedural world, in its training phrasings unless said otherwise."""

from random import Random

import numpy as np

from embedded.captioner.data import Example, user_message
from embedded.captioner.held_out import has_held_out
from embedded.world.edits import as_group, random_change, sample_scene
from embedded.world.model import Scene
from embedded.world.phrasings import phrase_modification
from embedded.world.vocabulary import DATASETS
from pipeline.graph.edits import apply_edits
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import verbalise


def _sample(rng: Random) -> tuple[np.random.Generator, Scene, GroupGraph]:
    draws = np.random.default_rng(rng.getrandbits(64))
    scene = sample_scene(draws, rng.choice(DATASETS))
    return draws, scene, scene_groups(scene)


def scene_groups(scene: Scene) -> GroupGraph:
    """What `group_objects(scene_graph(scene))` is, without a place in the image for every object."""
    at = {group.uid: place for place, group in enumerate(scene.groups)}
    relations = ((at[r.satellite], r.predicate, at[r.anchor]) for r in scene.relations)
    return GroupGraph(scene.scene, tuple(map(as_group, scene.groups)), tuple(relations))


def plain_scene(rng: Random, held_out: bool = False) -> Example:
    """The graph of a random scene, to be put into words.

    It has no held-out combination; with `held_out`, which is for evaluation alone, at least one.
    """
    while True:
        _, _, graph = _sample(rng)
        if has_held_out(graph) is held_out:
            return user_message(graph), verbalise(graph), None


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
            return user_message(graph, text), verbalise(after), verbalise(graph)
