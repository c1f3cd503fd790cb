"""Polygons that silhouettes are made of, in the object's own frame: nose along +x, length 1."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np

Colour = tuple[int, int, int]
WHITE, DARK, GLASS = (238, 238, 234), (44, 44, 48), (52, 66, 78)
STEEL = (120, 122, 126)


@dataclass(frozen=True)
class Face:
    """One polygon. `colour` None takes the object's; `facing` is a roof side's direction, for the light."""

    points: np.ndarray  # (n, 2)
    colour: Colour | None = None
    shade: float = 1.0
    facing: float | None = None
    casts: bool = False


def poly(*points: tuple[float, float]) -> np.ndarray:
    """Corners as an array (n, 2)."""
    return np.array(points, dtype=np.float64)


def box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    """A rectangle along the axes."""
    return poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def turns(sides: int) -> np.ndarray:
    """Angles in equal steps all the way around."""
    return np.arange(sides) * (2 * pi / sides)


def polar(angles: np.ndarray, radius: np.ndarray | float, stretch: float = 1.0) -> np.ndarray:
    """Corners (n, 2) at n angles and their distances from the origin, with `stretch` across."""
    return np.stack([radius * np.cos(angles), stretch * radius * np.sin(angles)], axis=1)


def disc(radius: float, x: float = 0.0, y: float = 0.0, sides: int = 20, stretch: float = 1.0) -> np.ndarray:
    """A circle, or an ellipse with `stretch` across."""
    return polar(turns(sides) + pi / sides, radius, stretch) + np.array([x, y])


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Turned by an angle in radians."""
    rotation = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    return points @ rotation.T


def pair(points: np.ndarray, shade: float, casts: bool = False) -> list[Face]:
    """A polygon in the object's colour and its mirror image beyond the long axis."""
    return [Face(side, None, shade, casts=casts) for side in (points, points * np.array([1.0, -1.0]))]
