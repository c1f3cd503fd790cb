"""Where every object of a scene stands. All within its cell, so that positions in the graph are exact."""

from dataclasses import dataclass, replace
from functools import cache
from math import pi, radians

import numpy as np

from embedded.world.model import CELL, POSITION_NAMES, Scene, SceneGroup
from embedded.world.sprites import placed_points
from embedded.world.vocabulary import COLOURS, OBJECTS, PREDICATES, SIZES

ROOM = CELL - 1.0  # side of the square that holds all that stands in a cell
GAP = 2.5  # least distance between two objects' boxes
_GROUP_TILT = radians(5)
_OBJECT_TILT = radians(2)


@dataclass(frozen=True)
class PlacedObject:
    """One object: box centre, angle in radians (y down), length in canvas units, box width and height."""

    uid: int
    name: str
    size: str | None
    rgb: tuple[int, int, int]
    x: float
    y: float
    angle: float
    length: float
    width: float
    height: float


def length_of(name: str, size: str | None) -> float:
    return OBJECTS[name].length * SIZES[size or "medium"]


@cache
def extent(name: str, size: str | None) -> tuple[float, float]:
    """Largest box sides over the angles the object may take: along its length, and across."""
    length = length_of(name, size)
    aligned = OBJECTS[name].aligned
    angles = np.linspace(0, _GROUP_TILT + _OBJECT_TILT, 8) if aligned else np.linspace(0, 2 * pi, 73)
    sides = np.array([np.ptp(placed_points(name, length, angle), axis=0) for angle in angles]).max(axis=0)
    return (float(sides[0]), float(sides[1])) if aligned else (float(sides.max()),) * 2


@cache
def capacity(name: str, size: str | None) -> int:
    """How many such objects fit in a cell."""
    along, across = (int((ROOM + GAP) // (side + GAP)) for side in extent(name, size))
    return min(OBJECTS[name].max_count, along * across)


@cache
def pair_fits(anchor: str, anchor_size: str | None, name: str, size: str | None, count: int) -> bool:
    """Whether `count` satellites in a row fit beside the anchor, on whichever side."""
    far, wide = max(extent(anchor, anchor_size)), max(extent(name, size))
    return far + GAP + wide <= ROOM and count * (wide + GAP) - GAP <= ROOM


def _pose(scene: Scene, group: SceneGroup) -> tuple[np.random.Generator, float]:
    """The group's angle, and the generator of all else about where its objects stand."""
    rng = np.random.default_rng([scene.site.seed, group.uid, 11])
    turn, tilt = rng.random(2)
    if OBJECTS[group.name].aligned:
        return rng, int(turn * 4) * pi / 2 + (2 * tilt - 1) * _GROUP_TILT
    return rng, float(turn * 2 * pi)


def _grid(n: int, box_x: float, box_y: float, pick: float) -> tuple[int, int]:
    """Columns and rows that hold n boxes within the room; `pick` (0 to 1) chooses among the tight ones."""
    columns, rows = int((ROOM + GAP) // (box_x + GAP)), int((ROOM + GAP) // (box_y + GAP))
    shapes = [(c, -(-n // c)) for c in range(1, columns + 1) if -(-n // c) <= rows and c <= n]
    least = min(c * r for c, r in shapes)
    tight = [shape for shape in shapes if shape[0] * shape[1] == least]
    return tight[int(pick * len(tight))]


def _centre(position: str) -> tuple[float, float]:
    row, column = divmod(POSITION_NAMES.index(position), 3)
    return (column + 0.5) * CELL, (row + 0.5) * CELL


def _boxes(group: SceneGroup, angle: float) -> tuple[float, float]:
    """Box sides along x and y that bound the group's objects whatever their own tilt."""
    along, across = extent(group.name, group.size)
    return (across, along) if OBJECTS[group.name].aligned and round(angle / (pi / 2)) % 2 else (along, across)


def _object(group: SceneGroup, x: float, y: float, angle: float) -> PlacedObject:
    length = length_of(group.name, group.size)
    width, height = np.ptp(placed_points(group.name, length, angle), axis=0)
    rgb = COLOURS[group.colour] if group.colour else OBJECTS[group.name].natural
    return PlacedObject(
        group.uid, group.name, group.size, rgb, x, y, angle, length, float(width), float(height)
    )


def _object_angles(group: SceneGroup, angle: float, rng: np.random.Generator) -> list[float]:
    spread = _OBJECT_TILT if OBJECTS[group.name].aligned else radians(10)
    return [angle + (2 * u - 1) * spread for u in rng.random(8)[: group.count]]


def _cluster(scene: Scene, group: SceneGroup) -> list[PlacedObject]:
    rng, angle = _pose(scene, group)
    shift_x, shift_y, pick, spread = rng.random(4)
    angles = _object_angles(group, angle, rng)
    box_x, box_y = _boxes(group, angle)
    columns, rows = _grid(group.count, box_x, box_y, pick)
    pitch_x, pitch_y = _pitch(columns, box_x, spread), _pitch(rows, box_y, spread)
    slack_x, slack_y = ROOM - (columns - 1) * pitch_x - box_x, ROOM - (rows - 1) * pitch_y - box_y
    cx, cy = _centre(group.position)
    cx, cy = cx + (shift_x - 0.5) * slack_x, cy + (shift_y - 0.5) * slack_y
    placed = []
    for k in range(group.count):
        row, column = divmod(k, columns)
        in_row = min(columns, group.count - row * columns)
        x = cx + (column - (in_row - 1) / 2) * pitch_x
        y = cy + (row - (rows - 1) / 2) * pitch_y
        placed.append(_object(group, x, y, angles[k]))
    return placed


def _pitch(n: int, box: float, spread: float) -> float:
    least = box + GAP
    if n == 1:
        return least
    return least + spread * 0.7 * min(8.0, (ROOM - (n - 1) * least - box) / (n - 1))


def _leaning(scene: Scene, group: SceneGroup) -> PlacedObject:
    """An anchor: against the side of its cell away from its satellite."""
    rng, angle = _pose(scene, group)
    across = rng.random() - 0.5
    dx, dy = PREDICATES[group.lean or "left of"]
    cx, cy = _centre(group.position)
    half = max(extent(group.name, group.size)) / 2
    away, slack = ROOM / 2 - half, 0.35 * (ROOM - 2 * half)
    side = across * slack
    return _object(group, cx - dx * away + abs(dy) * side, cy - dy * away + abs(dx) * side, angle)


def _satellites(scene: Scene, group: SceneGroup, anchor: PlacedObject, predicate: str) -> list[PlacedObject]:
    rng, angle = _pose(scene, group)
    angles = _object_angles(group, angle, rng)
    dx, dy = PREDICATES[predicate]
    wide = max(extent(group.name, group.size))
    cx, cy = _centre(group.position)
    reach = (ROOM - (group.count * (wide + GAP) - GAP)) / 2  # how far the row's middle may leave the cell's
    middle = float(np.clip((anchor.x - cx) * abs(dy) + (anchor.y - cy) * abs(dx), -reach, reach))
    placed = []
    for k in range(group.count):
        satellite = _object(group, 0.0, 0.0, angles[k])
        sides = abs(dx) * (anchor.width + satellite.width) + abs(dy) * (anchor.height + satellite.height)
        far = GAP + sides / 2
        along = middle + (k - (group.count - 1) / 2) * (wide + GAP)
        x = anchor.x + dx * far if dx else cx + along
        y = anchor.y + dy * far if dy else cy + along
        placed.append(replace(satellite, x=x, y=y))
    return placed


def layout(scene: Scene) -> list[PlacedObject]:
    """Every object of the scene, in the order of its groups."""
    by_group: dict[int, list[PlacedObject]] = {}
    satellites = {relation.satellite: relation for relation in scene.relations}
    for group in scene.groups:
        if group.uid not in satellites:
            by_group[group.uid] = [_leaning(scene, group)] if group.lean else _cluster(scene, group)
    for uid, relation in satellites.items():
        anchor = by_group[relation.anchor][0]
        by_group[uid] = _satellites(scene, scene.group(uid), anchor, relation.predicate)
    return [placed for group in scene.groups for placed in by_group[group.uid]]
