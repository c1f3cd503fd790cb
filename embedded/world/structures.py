"""Buildings, courts, water, trees and plants of machines from above."""

from collections.abc import Callable
from math import pi

import numpy as np

from embedded.world.shapes import DARK, GLASS, STEEL, WHITE, Face, box, disc, poly, turned


def _hangar() -> list[Face]:
    faces = [Face(box(-0.5, -0.38, 0.42, 0.38), None, 0.9, casts=True)]
    for k, shade in enumerate((0.74, 0.86, 0.97, 1.05, 0.97, 0.86, 0.74)):  # a barrel roof
        y = -0.38 + k * 0.76 / 7
        faces.append(Face(box(-0.5, y, 0.42, y + 0.76 / 7), None, shade, pi / 2 if k > 3 else -pi / 2))
    faces += [Face(box(x, -0.38, x + 0.02, 0.38), None, 0.62) for x in (-0.28, -0.05, 0.18)]
    return [*faces, Face(box(0.42, -0.3, 0.5, 0.3), DARK)]


def _terminal() -> list[Face]:
    faces = [Face(box(-0.5, -0.26, 0.5, 0.04), None, 0.95, casts=True)]
    for x in (-0.36, 0.0, 0.36):
        faces.append(Face(box(x - 0.055, 0.0, x + 0.055, 0.22), None, 0.8, casts=True))
        faces.append(Face(box(x - 0.1, 0.17, x + 0.1, 0.26), None, 1.04, casts=True))
    faces.append(Face(box(-0.46, -0.22, 0.46, -0.01), None, 1.05))
    faces += [Face(box(x - 0.05, -0.17, x + 0.05, -0.07), GLASS) for x in (-0.33, -0.11, 0.11, 0.33)]
    return faces


def _control_tower() -> list[Face]:
    return [
        Face(box(-0.5, -0.5, 0.5, 0.5), (134, 130, 124)),
        Face(box(-0.44, -0.44, 0.44, 0.44), (158, 154, 148)),
        Face(disc(0.42, sides=8), None, 1.0, casts=True),
        Face(disc(0.31, sides=8), GLASS),
        Face(disc(0.22, sides=8), None, 1.05),
        Face(disc(0.06), DARK),
    ]


def _storage_tank() -> list[Face]:
    lit = disc(0.44)
    return [
        Face(disc(0.5, sides=24), None, 0.7, casts=True),
        Face(lit, None, 1.0),
        Face(disc(0.3), None, 0.84),
        Face(disc(0.24), None, 1.02),
        Face(box(0.0, -0.035, 0.48, 0.035), DARK),
        Face(disc(0.06), DARK),
    ]


def _lines(x0: float, y0: float, x1: float, y1: float, width: float) -> list[Face]:
    return [
        Face(box(x0, y0, x1, y0 + width), WHITE),
        Face(box(x0, y1 - width, x1, y1), WHITE),
        Face(box(x0, y0, x0 + width, y1), WHITE),
        Face(box(x1 - width, y0, x1, y1), WHITE),
    ]


def _tennis_court() -> list[Face]:
    w = 0.022
    return [
        Face(box(-0.5, -0.29, 0.5, 0.29), None, 0.78),
        Face(box(-0.39, -0.2, 0.39, 0.2), None, 1.05),
        *_lines(-0.39, -0.2, 0.39, 0.2, w),
        Face(box(-0.39, -0.15, 0.39, -0.15 + w), WHITE),
        Face(box(-0.39, 0.15 - w, 0.39, 0.15), WHITE),
        Face(box(-0.21, -0.15, -0.21 + w, 0.15), WHITE),
        Face(box(0.21 - w, -0.15, 0.21, 0.15), WHITE),
        Face(box(-0.21, -w / 2, 0.21, w / 2), WHITE),
        Face(box(-0.012, -0.24, 0.012, 0.24), DARK, casts=True),
    ]


def _ring(radius: float, width: float, x: float) -> list[Face]:
    return [Face(disc(radius, x), WHITE), Face(disc(radius - width, x))]


def _basketball_court() -> list[Face]:
    w = 0.026
    faces = [
        Face(box(-0.5, -0.32, 0.5, 0.32), None, 1.0),
        *_lines(-0.46, -0.28, 0.46, 0.28, w),
        *_ring(0.13, w, 0.0),
        Face(box(-w / 2, -0.28, w / 2, 0.28), WHITE),
    ]
    for side in (-1, 1):
        faces += _ring(0.12, w, side * 0.27)
        x0, x1 = sorted((side * 0.46, side * 0.26))
        faces += [Face(box(x0, -0.11, x1, 0.11), None, 0.68), *_lines(x0, -0.11, x1, 0.11, w)]
    return faces


def _swimming_pool() -> list[Face]:
    a, b = disc(0.27, -0.21, 0.02, 20), disc(0.22, 0.25, -0.02, 20)
    rim_a, rim_b = disc(0.31, -0.19, 0.02, 24), disc(0.26, 0.24, -0.02, 24)
    waist = poly((-0.2, -0.2), (0.25, -0.22), (0.25, 0.16), (-0.2, 0.24))
    water = (64, 188, 214)
    return [
        Face(box(-0.26, -0.26, 0.3, 0.26), (226, 220, 204)),
        Face(rim_a, (226, 220, 204)),
        Face(rim_b, (226, 220, 204)),
        Face(a, water),
        Face(b, water),
        Face(waist, water),
        Face(disc(0.15, -0.23, 0.02), (38, 150, 196)),
        Face(box(0.1, -0.04, 0.26, 0.02), (150, 226, 236)),
    ]


def _house() -> list[Face]:
    x, y, r = 0.5, 0.4, 0.16
    return [
        Face(box(-x, -y, x, y), None, 0.9, casts=True),
        Face(poly((-x, -y), (x, -y), (r, 0), (-r, 0)), None, 0.95, -pi / 2),
        Face(poly((x, -y), (x, y), (r, 0)), None, 0.95, 0.0),
        Face(poly((x, y), (-x, y), (-r, 0), (r, 0)), None, 0.95, pi / 2),
        Face(poly((-x, y), (-x, -y), (-r, 0)), None, 0.95, pi),
        Face(box(0.16, -0.26, 0.28, -0.14), (96, 70, 62)),
    ]


def _tree() -> list[Face]:
    turn = np.arange(18) * (2 * pi / 18)
    radius = np.where(np.arange(18) % 2 == 0, 0.5, 0.41)
    crown = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    return [
        Face(crown, None, 0.78, casts=True),
        Face(disc(0.33, -0.05, -0.04, 11), None, 1.0),
        Face(disc(0.14, 0.16, 0.12, 9), None, 0.9),
        Face(disc(0.16, -0.1, -0.1, 9), None, 1.28),
        Face(disc(0.1, 0.14, -0.16, 9), None, 1.15),
    ]


def _gazebo() -> list[Face]:
    ring = disc(0.5, sides=6)
    faces = [Face(ring, None, 0.9, casts=True)]
    for k in range(6):
        a, b = ring[k], ring[(k + 1) % 6]
        middle = (a + b) / 2
        shade = 1.06 if k % 2 else 0.74
        faces.append(
            Face(np.stack([a, b, np.zeros(2)]), None, shade, float(np.arctan2(middle[1], middle[0])))
        )
    return [*faces, Face(disc(0.09), WHITE)]


def _trampoline() -> list[Face]:
    return [
        Face(disc(0.5, sides=22), None, 1.0, casts=True),
        Face(disc(0.33, sides=18), (34, 34, 38)),
        Face(box(-0.04, -0.3, 0.04, 0.3), (70, 70, 76)),
        Face(box(-0.3, -0.04, 0.3, 0.04), (70, 70, 76)),
    ]


def _barn() -> list[Face]:
    x, y = 0.5, 0.3
    return [
        Face(box(-x, -y, x, y), None, 0.9, casts=True),
        Face(box(-x, -y, x, -y * 0.55), None, 0.78, -pi / 2),
        Face(box(-x, -y * 0.55, x, 0), None, 1.0, -pi / 2),
        Face(box(-x, 0, x, y * 0.55), None, 1.0, pi / 2),
        Face(box(-x, y * 0.55, x, y), None, 0.78, pi / 2),
        Face(box(-x, -0.018, x, 0.018), WHITE),
        Face(box(-0.2, -0.08, -0.08, 0.08), STEEL),
        Face(box(0.14, -0.08, 0.26, 0.08), STEEL),
    ]


def _greenhouse() -> list[Face]:
    faces = [Face(box(-0.5, -0.29, 0.5, 0.29), (206, 222, 222), casts=True)]
    faces += [Face(box(-0.48, y, 0.48, y + 0.11), (126, 172, 128)) for y in (-0.25, -0.055, 0.14)]
    faces += [Face(box(x, -0.29, x + 0.025, 0.29), (232, 242, 244)) for x in np.linspace(-0.5, 0.475, 8)]
    return [*faces, Face(box(-0.5, -0.015, 0.5, 0.015), (236, 244, 246))]


def _pond() -> list[Face]:
    turn = np.arange(28) * (2 * pi / 28)
    radius = 0.43 + 0.045 * np.sin(2 * turn + 0.6) + 0.035 * np.sin(3 * turn + 1.9)
    shore = np.stack([radius * np.cos(turn), 0.78 * radius * np.sin(turn)], axis=1)
    return [
        Face(shore * 1.06, (138, 122, 92)),
        Face(shore, (66, 104, 122)),
        Face(shore * 0.72, (46, 84, 108)),
        Face(shore * 0.3 + poly((0.08, -0.06)), (58, 98, 120)),
    ]


def _wind_turbine() -> list[Face]:
    blade = poly((0.0, -0.05), (0.16, -0.085), (0.5, -0.02), (0.5, 0.024), (0.0, 0.055))
    faces = [Face(disc(0.15, sides=14), (126, 124, 118))]
    faces += [Face(turned(blade, k * 2 * pi / 3), None, 1.05, casts=True) for k in range(3)]
    return [*faces, Face(disc(0.085), None, 0.85, casts=True), Face(disc(0.035), DARK)]


def _solar_panel() -> list[Face]:
    faces = [Face(box(-0.5, -0.3, 0.5, 0.3), (206, 208, 210), casts=True)]
    for i in range(4):
        for j in range(2):
            x, y = -0.47 + i * 0.24, -0.27 + j * 0.275
            faces.append(Face(box(x, y, x + 0.215, y + 0.25), (30, 46, 88), 1.0 + 0.18 * ((i + j) % 2)))
    return faces


STRUCTURES: dict[str, Callable[[], list[Face]]] = {
    "hangar": _hangar,
    "terminal": _terminal,
    "control tower": _control_tower,
    "storage tank": _storage_tank,
    "tennis court": _tennis_court,
    "basketball court": _basketball_court,
    "swimming pool": _swimming_pool,
    "house": _house,
    "tree": _tree,
    "gazebo": _gazebo,
    "trampoline": _trampoline,
    "barn": _barn,
    "greenhouse": _greenhouse,
    "pond": _pond,
    "wind turbine": _wind_turbine,
    "solar panel": _solar_panel,
}
