"""The world that the encoder is pretrained on: that of the datasets, without part of it, and in other words.

A vision language model that meets an archive for the first time has seen most of its things, but not all, and
knows most of its words, but not all. So nine kinds of objects, two colours and four kinds of ground of the
datasets are never drawn here. Ten words of the rest are others here: four names, four adjectives, two
predicates. Objects of all themes stand beside each other.
"""

from dataclasses import replace

import numpy as np

from embedded.world.draws import choose
from embedded.world.edits import fits, random_change, sample_scene
from embedded.world.model import Scene, SceneGroup
from embedded.world.scene import GROUNDS, scene_graph
from embedded.world.vocabulary import COLOURS, DATASETS, EDIT_KINDS, OBJECTS
from pipeline.graph.scene_graph import GroupGraph, group_objects

KEPT_OBJECTS = frozenset(
    {
        "helicopter", "terminal", "fuel truck",  # airplane
        "basketball court", "gazebo", "trampoline",  # tennis
        "tractor", "wind turbine", "solar panel",  # mixed
    }
)  # fmt: skip
KEPT_COLOURS = frozenset({"orange", "purple"})
KEPT_GROUNDS = frozenset({"pale slabs", "sand", "clay", "stubble"})

NAMES = {"airplane": "aeroplane", "car": "automobile", "house": "dwelling", "truck": "lorry"}
ADJECTIVES = {"small": "tiny", "large": "huge", "red": "crimson", "blue": "navy"}
RELATIONS = {"above": "over", "below": "under"}

_NAMES = tuple(name for name in OBJECTS if name not in KEPT_OBJECTS)
_COLOURS = tuple(colour for colour in COLOURS if colour not in KEPT_COLOURS)
_TRIES = 50


def belongs(scene: Scene) -> bool:
    """Whether nothing of the scene is kept from this world."""
    return scene.site.ground not in KEPT_GROUNDS and all(
        group.name not in KEPT_OBJECTS and group.colour not in KEPT_COLOURS for group in scene.groups
    )


def general_scene(rng: np.random.Generator, number: int) -> Scene:
    """Scene `number`: one of a dataset's theme with other objects, colours and ground where needed."""
    while True:
        scene = _ground(rng, sample_scene(rng, DATASETS[number % len(DATASETS)]))
        changed = _other_objects(rng, scene)
        if changed is not None:
            return changed


def general_family(rng: np.random.Generator, number: int, edits: int) -> tuple[list[Scene], list[str]]:
    """A scene and `edits` changes of it of different kinds, at the same site, and the kinds, "" first."""
    while True:
        base = general_scene(rng, number)
        kinds = [EDIT_KINDS[i] for i in rng.choice(len(EDIT_KINDS), edits, replace=False)]
        edited = [_changed(rng, base, kind) for kind in kinds]
        scenes = [scene for scene in edited if scene is not None]
        if len(scenes) == edits:
            return [base, *scenes], ["", *kinds]


def graph_of(scene: Scene) -> GroupGraph:
    """The scene's graph in the words of this world."""
    graph = group_objects(scene_graph(scene))
    return GroupGraph(
        graph.scene,
        tuple(
            replace(
                group,
                name=NAMES.get(group.name, group.name),
                attributes=tuple(ADJECTIVES.get(word, word) for word in group.attributes),
            )
            for group in graph.groups
        ),
        tuple((subject, RELATIONS.get(word, word), object_) for subject, word, object_ in graph.relations),
    )


def _ground(rng: np.random.Generator, scene: Scene) -> Scene:
    if scene.site.ground not in KEPT_GROUNDS:
        return scene
    grounds = [ground for ground in GROUNDS[scene.scene] if ground not in KEPT_GROUNDS]
    return replace(scene, site=replace(scene.site, ground=choose(rng, grounds)))


def _other_objects(rng: np.random.Generator, scene: Scene) -> Scene | None:
    """Every group with another name, of any theme, that fits; None where none was found."""
    for old in scene.groups:
        group = _other_object(rng, scene, old)
        if group is None:
            return None
        scene = replace(scene, groups=tuple(group if g.uid == old.uid else g for g in scene.groups))
    return scene


def _other_object(rng: np.random.Generator, scene: Scene, old: SceneGroup) -> SceneGroup | None:
    related, satellites = scene.related(), {relation.satellite for relation in scene.relations}
    # names of groups in relations stand once in a scene
    taken = {g.name for g in scene.groups if g.uid != old.uid and (old.uid in related or g.uid in related)}
    names = [name for name in _NAMES if name not in taken]
    if old.uid in satellites:
        names = [name for name in names if OBJECTS[name].satellite]
    for _ in range(_TRIES):
        name = choose(rng, names)
        colour = old.colour if old.colour in _COLOURS else choose(rng, _COLOURS) if old.colour else None
        group = replace(old, name=name, colour=colour if OBJECTS[name].colourable else None)
        if fits(scene, group):
            return group
    return None


def _changed(rng: np.random.Generator, base: Scene, kind: str) -> Scene | None:
    for _ in range(_TRIES):
        change = random_change(rng, base, kind)
        if change is None:
            return None
        if belongs(scene := change.apply(base)):
            return scene
    return None
