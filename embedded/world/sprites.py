"""Silhouettes of all objects, and where their corners come to lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from embedded.world.shapes import Face, turned
from embedded.world.structures import STRUCTURES
from embedded.world.vehicles import VEHICLES

_FACES = {**VEHICLES, **STRUCTURES}


@dataclass(frozen=True)
class Sprite:
    """All faces of one kind of object; `points` (n, 2) stacks their corners."""

    faces: list[Face]
    points: np.ndarray

    def outlines(self, points: np.ndarray) -> Iterator[tuple[Face, np.ndarray]]:
        """Each face with its corners among `points`, which are the sprite's own, moved."""
        ends = np.cumsum([len(face.points) for face in self.faces])
        return zip(self.faces, np.split(points, ends[:-1]), strict=True)


@cache
def sprite(name: str) -> Sprite:
    """The silhouette of an object name, in the object's frame."""
    return Sprite(_FACES[name], np.concatenate([face.points for face in _FACES[name]]))


def placed_points(name: str, length: float, angle: float) -> np.ndarray:
    """All corners turned and scaled, (n, 2), with their bounding box centred on the origin."""
    points = turned(sprite(name).points, angle) * length
    return points - (points.max(axis=0) + points.min(axis=0)) / 2
