"""Training examples on scenes of the procedural world, in its training phrasings."""

from random import Random

import numpy as np

from models.captioner.data import Example, user_message
from pipeline.scene_graph import GroupGraph, apply_edits, group_objects
from pipeline.verbalise import verbalise
from pipeline.world.edits import random_change
from pipeline.world.model import Scene
from pipeline.world.phrasings import phrase_modification
from pipeline.world.scene import sample_scene, scene_graph
from pipeline.world.vocabulary import DATASETS


def _sample(rng: Random) -> tuple[np.random.Generator, Scene, GroupGraph]:
    draws = np.random.default_rng(rng.getrandbits(64))
    scene = sample_scene(draws, rng.choice(DATASETS))
    return draws, scene, group_objects(scene_graph(scene))


def plain_scene(rng: Random) -> Example:
    """The graph of a random scene, to be put into words."""
    _, _, graph = _sample(rng)
    return user_message(graph), verbalise(graph), None


def edited_scene(rng: Random, split: str = "train") -> Example:
    """The graph of a random scene and a change of it; only the split `test` has phrasings not trained on."""
    while True:
        draws, scene, graph = _sample(rng)
        change = random_change(draws, scene)
        if change is not None:
            text = phrase_modification(draws, scene, change, split)
            after = apply_edits(graph, change.edits(scene))
            return user_message(graph, text), verbalise(after), verbalise(graph)
