"""Buildings, courts, water, trees and plants of machines from above."""

from math import pi

import numpy as np

from embedded.world.shapes import DARK, GLASS, STEEL, WHITE, Face, box, disc, polar, poly, turned, turns

_NARROW, _WIDE = 0.022, 0.026  # lines of tennis and basketball courts
_PAVING, _WATER = (226, 220, 204), (64, 188, 214)  # around and in a swimming pool
_BLADE = poly((0.0, -0.05), (0.16, -0.085), (0.5, -0.02), (0.5, 0.024), (0.0, 0.055))


def _lines(x0: float, y0: float, x1: float, y1: float, width: float) -> list[Face]:
    return [
        Face(box(x0, y0, x1, y0 + width), WHITE),
        Face(box(x0, y1 - width, x1, y1), WHITE),
        Face(box(x0, y0, x0 + width, y1), WHITE),
        Face(box(x1 - width, y0, x1, y1), WHITE),
    ]


def _ring(radius: float, x: float) -> list[Face]:
    return [Face(disc(radius, x), WHITE), Face(disc(radius - _WIDE, x))]


def _half_court(x0: float, x1: float, arc: float) -> list[Face]:
    key = Face(box(x0, -0.11, x1, 0.11), None, 0.68)
    return [*_ring(0.12, arc), key, *_lines(x0, -0.11, x1, 0.11, _WIDE)]


def _barrel_roof() -> list[Face]:
    faces = []
    for k, shade in enumerate((0.74, 0.86, 0.97, 1.05, 0.97, 0.86, 0.74)):
        y = -0.38 + k * 0.76 / 7
        faces.append(Face(box(-0.5, y, 0.42, y + 0.76 / 7), None, shade, pi / 2 if k > 3 else -pi / 2))
    return faces


def _tent() -> list[Face]:
    faces, ring = [], disc(0.5, sides=6)
    for k, (a, b) in enumerate(zip(ring, np.roll(ring, -1, axis=0), strict=True)):
        x, y = (a + b) / 2
        facing = float(np.arctan2(y, x))
        faces.append(Face(np.stack([a, b, np.zeros(2)]), None, 1.06 if k % 2 else 0.74, facing))
    return [Face(ring, None, 0.9, casts=True), *faces]


def _shore() -> np.ndarray:
    turn = turns(28)
    return polar(turn, 0.43 + 0.045 * np.sin(2 * turn + 0.6) + 0.035 * np.sin(3 * turn + 1.9), 0.78)


STRUCTURES: dict[str, list[Face]] = {
    "hangar": [
        Face(box(-0.5, -0.38, 0.42, 0.38), None, 0.9, casts=True),
        *_barrel_roof(),
        *(Face(box(x, -0.38, x + 0.02, 0.38), None, 0.62) for x in (-0.28, -0.05, 0.18)),
        Face(box(0.42, -0.3, 0.5, 0.3), DARK),
    ],
    "terminal": [
        Face(box(-0.5, -0.26, 0.5, 0.04), None, 0.95, casts=True),
        *(
            face
            for x in (-0.36, 0.0, 0.36)
            for face in (
                Face(box(x - 0.055, 0.0, x + 0.055, 0.22), None, 0.8, casts=True),
                Face(box(x - 0.1, 0.17, x + 0.1, 0.26), None, 1.04, casts=True),
            )
        ),
        Face(box(-0.46, -0.22, 0.46, -0.01), None, 1.05),
        *(Face(box(x - 0.05, -0.17, x + 0.05, -0.07), GLASS) for x in (-0.33, -0.11, 0.11, 0.33)),
    ],
    "control tower": [
        Face(box(-0.5, -0.5, 0.5, 0.5), (134, 130, 124)),
        Face(box(-0.44, -0.44, 0.44, 0.44), (158, 154, 148)),
        Face(disc(0.42, sides=8), casts=True),
        Face(disc(0.31, sides=8), GLASS),
        Face(disc(0.22, sides=8), None, 1.05),
        Face(disc(0.06), DARK),
    ],
    "storage tank": [
        Face(disc(0.5, sides=24), None, 0.7, casts=True),
        Face(disc(0.44)),
        Face(disc(0.3), None, 0.84),
        Face(disc(0.24), None, 1.02),
        Face(box(0.0, -0.035, 0.48, 0.035), DARK),
        Face(disc(0.06), DARK),
    ],
    "tennis court": [
        Face(box(-0.5, -0.29, 0.5, 0.29), None, 0.78),
        Face(box(-0.39, -0.2, 0.39, 0.2), None, 1.05),
        *_lines(-0.39, -0.2, 0.39, 0.2, _NARROW),
        Face(box(-0.39, -0.15, 0.39, -0.15 + _NARROW), WHITE),
        Face(box(-0.39, 0.15 - _NARROW, 0.39, 0.15), WHITE),
        Face(box(-0.21, -0.15, -0.21 + _NARROW, 0.15), WHITE),
        Face(box(0.21 - _NARROW, -0.15, 0.21, 0.15), WHITE),
        Face(box(-0.21, -_NARROW / 2, 0.21, _NARROW / 2), WHITE),
        Face(box(-0.012, -0.24, 0.012, 0.24), DARK, casts=True),
    ],
    "basketball court": [
        Face(box(-0.5, -0.32, 0.5, 0.32)),
        *_lines(-0.46, -0.28, 0.46, 0.28, _WIDE),
        *_ring(0.13, 0.0),
        Face(box(-_WIDE / 2, -0.28, _WIDE / 2, 0.28), WHITE),
        *_half_court(-0.46, -0.26, -0.27),
        *_half_court(0.26, 0.46, 0.27),
    ],
    "swimming pool": [
        Face(box(-0.26, -0.26, 0.3, 0.26), _PAVING),
        Face(disc(0.31, -0.19, 0.02, 24), _PAVING),
        Face(disc(0.26, 0.24, -0.02, 24), _PAVING),
        Face(disc(0.27, -0.21, 0.02, 20), _WATER),
        Face(disc(0.22, 0.25, -0.02, 20), _WATER),
        Face(poly((-0.2, -0.2), (0.25, -0.22), (0.25, 0.16), (-0.2, 0.24)), _WATER),
        Face(disc(0.15, -0.23, 0.02), (38, 150, 196)),
        Face(box(0.1, -0.04, 0.26, 0.02), (150, 226, 236)),
    ],
    "house": [
        Face(box(-0.5, -0.4, 0.5, 0.4), None, 0.9, casts=True),
        Face(poly((-0.5, -0.4), (0.5, -0.4), (0.16, 0), (-0.16, 0)), None, 0.95, -pi / 2),
        Face(poly((0.5, -0.4), (0.5, 0.4), (0.16, 0)), None, 0.95, 0.0),
        Face(poly((0.5, 0.4), (-0.5, 0.4), (-0.16, 0), (0.16, 0)), None, 0.95, pi / 2),
        Face(poly((-0.5, 0.4), (-0.5, -0.4), (-0.16, 0)), None, 0.95, pi),
        Face(box(0.16, -0.26, 0.28, -0.14), (96, 70, 62)),
    ],
    "tree": [
        Face(polar(turns(18), np.tile([0.5, 0.41], 9)), None, 0.78, casts=True),
        Face(disc(0.33, -0.05, -0.04, 11)),
        Face(disc(0.14, 0.16, 0.12, 9), None, 0.9),
        Face(disc(0.16, -0.1, -0.1, 9), None, 1.28),
        Face(disc(0.1, 0.14, -0.16, 9), None, 1.15),
    ],
    "gazebo": [*_tent(), Face(disc(0.09), WHITE)],
    "trampoline": [
        Face(disc(0.5, sides=22), casts=True),
        Face(disc(0.33, sides=18), (34, 34, 38)),
        Face(box(-0.04, -0.3, 0.04, 0.3), (70, 70, 76)),
        Face(box(-0.3, -0.04, 0.3, 0.04), (70, 70, 76)),
    ],
    "barn": [
        Face(box(-0.5, -0.3, 0.5, 0.3), None, 0.9, casts=True),
        Face(box(-0.5, -0.3, 0.5, -0.165), None, 0.78, -pi / 2),
        Face(box(-0.5, -0.165, 0.5, 0), None, 1.0, -pi / 2),
        Face(box(-0.5, 0, 0.5, 0.165), None, 1.0, pi / 2),
        Face(box(-0.5, 0.165, 0.5, 0.3), None, 0.78, pi / 2),
        Face(box(-0.5, -0.018, 0.5, 0.018), WHITE),
        Face(box(-0.2, -0.08, -0.08, 0.08), STEEL),
        Face(box(0.14, -0.08, 0.26, 0.08), STEEL),
    ],
    "greenhouse": [
        Face(box(-0.5, -0.29, 0.5, 0.29), (206, 222, 222), casts=True),
        *(Face(box(-0.48, y, 0.48, y + 0.11), (126, 172, 128)) for y in (-0.25, -0.055, 0.14)),
        *(Face(box(x, -0.29, x + 0.025, 0.29), (232, 242, 244)) for x in np.linspace(-0.5, 0.475, 8)),
        Face(box(-0.5, -0.015, 0.5, 0.015), (236, 244, 246)),
    ],
    "pond": [
        Face(_shore() * 1.06, (138, 122, 92)),
        Face(_shore(), (66, 104, 122)),
        Face(_shore() * 0.72, (46, 84, 108)),
        Face(_shore() * 0.3 + poly((0.08, -0.06)), (58, 98, 120)),
    ],
    "wind turbine": [
        Face(disc(0.15, sides=14), (126, 124, 118)),
        *(Face(turned(_BLADE, turn), None, 1.05, casts=True) for turn in turns(3)),
        Face(disc(0.085), None, 0.85, casts=True),
        Face(disc(0.035), DARK),
    ],
    "solar panel": [
        Face(box(-0.5, -0.3, 0.5, 0.3), (206, 208, 210), casts=True),
        *(
            Face(box(x, y, x + 0.215, y + 0.25), (30, 46, 88), 1.0 + 0.18 * ((i + j) % 2))
            for i, x in enumerate(-0.47 + 0.24 * np.arange(4))
            for j, y in enumerate(-0.27 + 0.275 * np.arange(2))
        ),
    ],
}
