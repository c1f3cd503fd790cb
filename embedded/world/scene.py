"""Random scenes, and the scene graph of a scene."""

from math import pi

import numpy as np

from embedded.world.draws import choose
from embedded.world.layout import capacity, layout, pair_fits
from embedded.world.model import CANVAS, POSITION_NAMES, Relation, Scene, SceneGroup, Site
from embedded.world.vocabulary import COLOURS, DATASET_OBJECTS, OBJECTS, PREDICATES, SCENES, SIZES
from pipeline.graph.scene_graph import Node, SceneGraph

GROUNDS: dict[str, tuple[str, ...]] = {
    "airport": ("concrete", "asphalt", "mown grass", "dry grass", "pale slabs"),
    "airfield": ("grass", "dry grass", "soil", "sand", "meadow"),
    "suburb": ("lawn", "dry grass", "gravel", "meadow", "paving"),
    "sports park": ("mown grass", "lawn", "clay", "sand", "paving"),
    "farmland": ("green crop", "stubble", "soil", "meadow", "dry grass"),
    "industrial area": ("concrete", "gravel", "asphalt", "sand", "pale slabs"),
}
# cells that groups stand in, relations among them, and how often
_SHAPES = (((3, 1), 0.2), ((4, 1), 0.35), ((4, 2), 0.25), ((5, 1), 0.2))
_TRIES = 200


def sample_site(rng: np.random.Generator, scene: str, unlike: Site | None = None) -> Site:
    """A random site for a scene name; with `unlike`, one of another ground and another light."""
    grounds = [ground for ground in GROUNDS[scene] if unlike is None or ground != unlike.ground]
    light = 2 * pi * rng.random()
    if unlike is not None:
        light = unlike.light + pi / 3 + rng.random() * 4 * pi / 3
    return Site(
        ground=choose(rng, grounds),
        seed=int(rng.integers(2**31)),
        light=float(light % (2 * pi)),
        brightness=float(rng.uniform(0.88, 1.08)),
        warmth=float(rng.uniform(-1, 1)),
    )


def sample_attributes(
    rng: np.random.Generator, name: str, large: bool = True
) -> tuple[str | None, str | None]:
    """A size and a colour for an object name, each often None; large only where `large` allows it."""
    sizes = [size for size in SIZES if large or size != "large"]
    size = choose(rng, sizes) if rng.random() < 0.45 else None
    colour = None
    if OBJECTS[name].colourable and rng.random() < 0.72:
        colour = choose(rng, tuple(COLOURS))
    return size, colour


def sample_count(rng: np.random.Generator, name: str, size: str | None) -> int:
    """One object two times in five, otherwise any number that fits."""
    most = capacity(name, size)
    return 1 if most == 1 or rng.random() < 0.4 else int(rng.integers(2, most + 1))


def sample_base(rng: np.random.Generator, dataset: str) -> Scene:
    """A scene before any edit, at a random site: 4 to 6 groups, 1 or 2 relations.

    Names of groups in relations stand once in a scene, so that a relation needs no more than the name.
    """
    scene = choose(rng, SCENES[dataset])
    site = sample_site(rng, scene)
    shape = int(rng.choice(len(_SHAPES), p=[weight for _, weight in _SHAPES]))
    cells, related = _SHAPES[shape][0]
    positions = [POSITION_NAMES[k] for k in rng.permutation(9)[:cells]]
    unused = [DATASET_OBJECTS[dataset][k] for k in rng.permutation(len(DATASET_OBJECTS[dataset]))]
    groups: list[SceneGroup] = []
    relations = []
    for position in positions[:related]:
        anchor, satellite, predicate = _pair(rng, unused, position, len(groups))
        groups += [anchor, satellite]
        relations.append(Relation(satellite.uid, predicate, anchor.uid))
        unused = [name for name in unused if name not in (anchor.name, satellite.name)]
    unrelated: list[str] = []
    for position in positions[related:]:
        repeat = bool(unrelated) and rng.random() < 0.25
        name = choose(rng, unrelated) if repeat else unused.pop(0)
        unrelated.append(name)
        size, colour = sample_attributes(rng, name)
        groups.append(SceneGroup(len(groups), name, size, colour, sample_count(rng, name, size), position))
    order = rng.permutation(len(groups))
    return Scene(dataset, scene, tuple(groups[k] for k in order), tuple(relations), site)


def _pair(
    rng: np.random.Generator, unused: list[str], position: str, uid: int
) -> tuple[SceneGroup, SceneGroup, str]:
    predicate = choose(rng, tuple(PREDICATES))
    satellites = [name for name in unused if OBJECTS[name].satellite]
    for _ in range(_TRIES):
        anchor = choose(rng, unused)
        name = choose(rng, satellites)
        if name == anchor:
            continue
        anchor_size, anchor_colour = sample_attributes(rng, anchor, large=False)
        size, colour = sample_attributes(rng, name)
        count = 1 + int(rng.random() < 0.35)
        if capacity(name, size) >= count and pair_fits(anchor, anchor_size, name, size, count):
            return (
                SceneGroup(uid, anchor, anchor_size, anchor_colour, 1, position, lean=predicate),
                SceneGroup(uid + 1, name, size, colour, count, position),
                predicate,
            )
    raise RuntimeError(f"no two of {unused} fit in one cell")


def scene_graph(scene: Scene, size: int = 256) -> SceneGraph:
    """The exact graph: objects one by one, boxes in pixels of an image of `size` x `size`."""
    scale = size / CANVAS
    nodes: list[Node] = []
    members: dict[int, list[int]] = {}
    for item in layout(scene):
        group = scene.group(item.uid)
        box = (item.x - item.width / 2, item.y - item.height / 2, item.width, item.height)
        bbox = tuple(round(value * scale, 2) for value in box)
        members.setdefault(item.uid, []).append(len(nodes))
        nodes.append(Node(len(nodes), item.name, group.attributes, bbox))  # type: ignore[arg-type]
    relationships = tuple(
        (satellite, relation.predicate, members[relation.anchor][0])
        for relation in scene.relations
        for satellite in members[relation.satellite]
    )
    return SceneGraph(size, size, scene.scene, tuple(nodes), relationships)
