"""Aircraft and vehicles from above."""

from collections.abc import Callable
from math import pi

import numpy as np

from embedded.world.shapes import DARK, GLASS, STEEL, WHITE, Face, box, disc, mirror, poly, turned


def _airplane() -> list[Face]:
    wing = poly((0.14, 0.05), (-0.12, 0.48), (-0.2, 0.48), (-0.1, 0.05))
    tail = poly((-0.34, 0.03), (-0.46, 0.19), (-0.5, 0.19), (-0.47, 0.03))
    body = poly(
        (0.5, 0), (0.46, 0.05), (0.36, 0.075), (-0.3, 0.07), (-0.5, 0.02),
        (-0.5, -0.02), (-0.3, -0.07), (0.36, -0.075), (0.46, -0.05),
    )  # fmt: skip
    engine = box(-0.02, 0.19, 0.1, 0.26)
    return [
        Face(engine, None, 0.62),
        Face(mirror(engine), None, 0.62),
        Face(wing, None, 0.9, casts=True),
        Face(mirror(wing), None, 0.9, casts=True),
        Face(tail, None, 0.86, casts=True),
        Face(mirror(tail), None, 0.86, casts=True),
        Face(body, None, 1.0, casts=True),
        Face(box(-0.5, -0.014, -0.32, 0.014), None, 0.6),
        Face(poly((0.42, 0.045), (0.46, 0), (0.42, -0.045), (0.38, 0)), GLASS),
    ]


def _helicopter() -> list[Face]:
    cabin = disc(0.23, 0.1, 0, 16, 0.74)
    boom = poly((-0.05, 0.075), (-0.48, 0.035), (-0.48, -0.035), (-0.05, -0.075))
    faces = [
        Face(box(-0.12, 0.14, 0.3, 0.17), DARK),
        Face(box(-0.12, -0.17, 0.3, -0.14), DARK),
        Face(boom, None, 0.85, casts=True),
        Face(box(-0.5, -0.13, -0.41, 0.13), None, 0.8, casts=True),
        Face(cabin, None, 1.0, casts=True),
        Face(disc(0.09, 0.2, 0, 12, 1.0), GLASS),
    ]
    blade = box(-0.42, -0.017, 0.42, 0.017)
    rotor = (turned(blade, turn) + np.array([0.06, 0.0]) for turn in (0.6, 0.6 + pi / 2))
    return [*faces, *(Face(points, DARK, casts=True) for points in rotor), Face(disc(0.045, 0.06), WHITE)]


def _fuel_truck() -> list[Face]:
    return [
        Face(box(-0.5, -0.21, 0.5, 0.21), DARK, casts=True),
        Face(box(0.27, -0.22, 0.5, 0.22), None, 1.0),
        Face(box(0.34, -0.17, 0.41, 0.17), GLASS),
        Face(np.concatenate([disc(0.2, -0.3, 0, 16), disc(0.2, 0.02, 0, 16)])[_TANK], None, 0.88),
        Face(box(-0.46, -0.08, 0.18, 0.08), None, 1.12),
        Face(box(-0.17, -0.05, -0.09, 0.05), DARK),
    ]


# the outline of two discs of 16 points drawn as one capsule: right half of the second, left half of the first
_TANK = [28, 29, 30, 31, 16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11]


def _car() -> list[Face]:
    body = poly(
        (0.5, -0.17), (0.5, 0.17), (0.42, 0.25), (-0.42, 0.25), (-0.5, 0.19),
        (-0.5, -0.19), (-0.42, -0.25), (0.42, -0.25),
    )  # fmt: skip
    return [
        Face(body, None, 0.95, casts=True),
        Face(poly((0.22, -0.2), (0.12, -0.16), (0.12, 0.16), (0.22, 0.2)), GLASS),
        Face(poly((-0.36, -0.19), (-0.28, -0.16), (-0.28, 0.16), (-0.36, 0.19)), GLASS),
        Face(box(-0.27, -0.17, 0.11, 0.17), None, 1.08),
    ]


def _bus() -> list[Face]:
    faces = [
        Face(box(-0.5, -0.19, 0.5, 0.19), None, 0.85, casts=True),
        Face(box(-0.48, -0.15, 0.46, 0.15), None, 1.05),
        Face(box(0.45, -0.15, 0.49, 0.15), GLASS),
    ]
    return [*faces, *(Face(box(x, -0.09, x + 0.13, 0.09), STEEL) for x in (-0.34, -0.06, 0.22))]


def _truck() -> list[Face]:
    return [
        Face(box(-0.5, -0.19, 0.2, 0.19), None, 0.92, casts=True),
        Face(box(-0.47, -0.16, 0.17, 0.16), None, 1.05),
        *(Face(box(x, -0.16, x + 0.025, 0.16), None, 0.78) for x in (-0.31, -0.15, 0.01)),
        Face(box(0.2, -0.07, 0.26, 0.07), DARK),
        Face(box(0.25, -0.18, 0.5, 0.18), None, 0.82, casts=True),
        Face(box(0.38, -0.15, 0.45, 0.15), GLASS),
    ]


def _tractor() -> list[Face]:
    wheels = [
        Face(box(-0.48, side * 0.2 - 0.1, -0.02, side * 0.2 + 0.1) + poly((0, side * 0.09)), DARK, casts=True)
        for side in (-1, 1)
    ]
    front = [Face(box(0.22, y - 0.05, 0.46, y + 0.05), DARK) for y in (-0.2, 0.2)]
    return [
        *wheels,
        *front,
        Face(box(-0.1, -0.13, 0.5, 0.13), None, 1.0, casts=True),
        Face(box(-0.42, -0.19, 0.02, 0.19), None, 0.88, casts=True),
        Face(box(-0.34, -0.13, -0.06, 0.13), GLASS),
        Face(box(0.3, -0.08, 0.42, 0.08), None, 0.7),
    ]


VEHICLES: dict[str, Callable[[], list[Face]]] = {
    "airplane": _airplane,
    "helicopter": _helicopter,
    "fuel truck": _fuel_truck,
    "car": _car,
    "bus": _bus,
    "truck": _truck,
    "tractor": _tractor,
}
