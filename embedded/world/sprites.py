"""Silhouettes of all objects, and where their corners come to lie."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from embedded.world.shapes import Face, turned
from embedded.world.structures import STRUCTURES
from embedded.world.vehicles import VEHICLES

_FACES = {**VEHICLES, **STRUCTURES}


@dataclass(frozen=True)
class Sprite:
    """All faces of one kind of object; `points` stacks their corners, face k's are `spans[k]`."""

    faces: tuple[Face, ...]
    points: np.ndarray  # (n, 2)
    spans: tuple[tuple[int, int], ...]


@cache
def sprite(name: str) -> Sprite:
    """The silhouette of an object name, in the object's frame."""
    faces = tuple(_FACES[name])
    ends = np.cumsum([0, *(len(face.points) for face in faces)])
    spans = tuple((int(a), int(b)) for a, b in pairwise(ends))
    return Sprite(faces, np.concatenate([face.points for face in faces]), spans)


def placed_points(name: str, length: float, angle: float) -> np.ndarray:
    """All corners turned and scaled, (n, 2), with their bounding box centred on the origin."""
    points = turned(sprite(name).points, angle) * length
    return points - (points.max(axis=0) + points.min(axis=0)) / 2
