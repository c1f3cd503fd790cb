"""Silhouettes of all objects, and where their corners come to lie."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from embedded.world.shapes import Part, turned
from embedded.world.structures import STRUCTURES
from embedded.world.vehicles import VEHICLES

_BUILDERS = {**VEHICLES, **STRUCTURES}


@dataclass(frozen=True)
class Sprite:
    """All parts of one kind of object; `points` stacks their corners, part k's are `spans[k]`."""

    parts: tuple[Part, ...]
    points: np.ndarray  # (n, 2)
    spans: tuple[tuple[int, int], ...]


@cache
def sprite(name: str) -> Sprite:
    """The silhouette of an object name, in the object's frame."""
    parts = tuple(_BUILDERS[name]())
    ends = np.cumsum([0, *(len(part.points) for part in parts)])
    spans = tuple((int(a), int(b)) for a, b in pairwise(ends))
    return Sprite(parts, np.concatenate([part.points for part in parts]), spans)


def placed_points(name: str, length: float, angle: float) -> np.ndarray:
    """All corners turned and scaled, (n, 2), with their bounding box centred on the origin."""
    points = turned(sprite(name).points, angle) * length
    return points - (points.max(axis=0) + points.min(axis=0)) / 2
