"""Silhouettes from above: polygons in the object's own frame, nose along +x, length 1."""

from dataclasses import dataclass
from functools import cache
from math import cos, pi, sin

import numpy as np

Colour = tuple[int, int, int]
WHITE, DARK, GLASS = (238, 238, 234), (44, 44, 48), (52, 66, 78)
STEEL, WOOD = (120, 122, 126), (112, 84, 60)


@dataclass(frozen=True)
class Part:
    """One polygon. `colour` None takes the object's; `facing` is a roof side's direction, for the light."""

    points: np.ndarray  # (n, 2)
    colour: Colour | None = None
    shade: float = 1.0
    facing: float | None = None
    casts: bool = False


def _poly(*points: tuple[float, float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def _box(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return _poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _disc(radius: float, x: float = 0.0, y: float = 0.0, sides: int = 20, stretch: float = 1.0) -> np.ndarray:
    turn = np.arange(sides) * (2 * pi / sides) + pi / sides
    return np.stack([x + radius * np.cos(turn), y + stretch * radius * np.sin(turn)], axis=1)


def _mirror(points: np.ndarray) -> np.ndarray:
    return points * np.array([1.0, -1.0])


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    rotation = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]])
    return points @ rotation.T


def _airplane() -> list[Part]:
    wing = _poly((0.14, 0.05), (-0.12, 0.48), (-0.2, 0.48), (-0.1, 0.05))
    tail = _poly((-0.34, 0.03), (-0.46, 0.19), (-0.5, 0.19), (-0.47, 0.03))
    body = _poly(
        (0.5, 0), (0.46, 0.05), (0.36, 0.075), (-0.3, 0.07), (-0.5, 0.02),
        (-0.5, -0.02), (-0.3, -0.07), (0.36, -0.075), (0.46, -0.05),
    )  # fmt: skip
    engine = _box(-0.02, 0.19, 0.1, 0.26)
    return [
        Part(engine, None, 0.62),
        Part(_mirror(engine), None, 0.62),
        Part(wing, None, 0.9, casts=True),
        Part(_mirror(wing), None, 0.9, casts=True),
        Part(tail, None, 0.86, casts=True),
        Part(_mirror(tail), None, 0.86, casts=True),
        Part(body, None, 1.0, casts=True),
        Part(_box(-0.5, -0.014, -0.32, 0.014), None, 0.6),
        Part(_poly((0.42, 0.045), (0.46, 0), (0.42, -0.045), (0.38, 0)), GLASS),
    ]


def _helicopter() -> list[Part]:
    cabin = _disc(0.23, 0.1, 0, 16, 0.74)
    boom = _poly((-0.05, 0.075), (-0.48, 0.035), (-0.48, -0.035), (-0.05, -0.075))
    parts = [
        Part(_box(-0.12, 0.14, 0.3, 0.17), DARK),
        Part(_box(-0.12, -0.17, 0.3, -0.14), DARK),
        Part(boom, None, 0.85, casts=True),
        Part(_box(-0.5, -0.13, -0.41, 0.13), None, 0.8, casts=True),
        Part(cabin, None, 1.0, casts=True),
        Part(_disc(0.09, 0.2, 0, 12, 1.0), GLASS),
    ]
    blade = _box(-0.42, -0.017, 0.42, 0.017)
    for turn in (0.6, 0.6 + pi / 2):
        parts.append(Part(_turned(blade, turn) + np.array([0.06, 0.0]), DARK, casts=True))
    return [*parts, Part(_disc(0.045, 0.06), WHITE)]


def _hangar() -> list[Part]:
    parts = [Part(_box(-0.5, -0.38, 0.42, 0.38), None, 0.9, casts=True)]
    for k, shade in enumerate((0.74, 0.86, 0.97, 1.05, 0.97, 0.86, 0.74)):  # a barrel roof
        y = -0.38 + k * 0.76 / 7
        parts.append(Part(_box(-0.5, y, 0.42, y + 0.76 / 7), None, shade, pi / 2 if k > 3 else -pi / 2))
    parts += [Part(_box(x, -0.38, x + 0.02, 0.38), None, 0.62) for x in (-0.28, -0.05, 0.18)]
    return [*parts, Part(_box(0.42, -0.3, 0.5, 0.3), DARK)]


def _terminal() -> list[Part]:
    parts = [Part(_box(-0.5, -0.26, 0.5, 0.04), None, 0.95, casts=True)]
    for x in (-0.36, 0.0, 0.36):
        parts.append(Part(_box(x - 0.055, 0.0, x + 0.055, 0.22), None, 0.8, casts=True))
        parts.append(Part(_box(x - 0.1, 0.17, x + 0.1, 0.26), None, 1.04, casts=True))
    parts.append(Part(_box(-0.46, -0.22, 0.46, -0.01), None, 1.05))
    parts += [Part(_box(x - 0.05, -0.17, x + 0.05, -0.07), GLASS) for x in (-0.33, -0.11, 0.11, 0.33)]
    return parts


def _control_tower() -> list[Part]:
    return [
        Part(_box(-0.5, -0.5, 0.5, 0.5), (134, 130, 124), casts=False),
        Part(_box(-0.44, -0.44, 0.44, 0.44), (158, 154, 148), casts=False),
        Part(_disc(0.42, sides=8), None, 1.0, casts=True),
        Part(_disc(0.31, sides=8), GLASS),
        Part(_disc(0.22, sides=8), None, 1.05),
        Part(_disc(0.06), DARK),
    ]


def _fuel_truck() -> list[Part]:
    return [
        Part(_box(-0.5, -0.21, 0.5, 0.21), DARK, casts=True),
        Part(_box(0.27, -0.22, 0.5, 0.22), None, 1.0),
        Part(_box(0.34, -0.17, 0.41, 0.17), GLASS),
        Part(np.concatenate([_disc(0.2, -0.3, 0, 16), _disc(0.2, 0.02, 0, 16)])[_TANK], None, 0.88),
        Part(_box(-0.46, -0.08, 0.18, 0.08), None, 1.12),
        Part(_box(-0.17, -0.05, -0.09, 0.05), DARK),
    ]


# the outline of two discs of 16 points drawn as one capsule: right half of the second, left half of the first
_TANK = [28, 29, 30, 31, 16, 17, 18, 19, 4, 5, 6, 7, 8, 9, 10, 11]


def _car() -> list[Part]:
    body = _poly(
        (0.5, -0.17), (0.5, 0.17), (0.42, 0.25), (-0.42, 0.25), (-0.5, 0.19),
        (-0.5, -0.19), (-0.42, -0.25), (0.42, -0.25),
    )  # fmt: skip
    return [
        Part(body, None, 0.95, casts=True),
        Part(_poly((0.22, -0.2), (0.12, -0.16), (0.12, 0.16), (0.22, 0.2)), GLASS),
        Part(_poly((-0.36, -0.19), (-0.28, -0.16), (-0.28, 0.16), (-0.36, 0.19)), GLASS),
        Part(_box(-0.27, -0.17, 0.11, 0.17), None, 1.08),
    ]


def _bus() -> list[Part]:
    parts = [
        Part(_box(-0.5, -0.19, 0.5, 0.19), None, 0.85, casts=True),
        Part(_box(-0.48, -0.15, 0.46, 0.15), None, 1.05),
        Part(_box(0.45, -0.15, 0.49, 0.15), GLASS),
    ]
    return [*parts, *(Part(_box(x, -0.09, x + 0.13, 0.09), STEEL) for x in (-0.34, -0.06, 0.22))]


def _storage_tank() -> list[Part]:
    lit = _disc(0.44)
    return [
        Part(_disc(0.5, sides=24), None, 0.7, casts=True),
        Part(lit, None, 1.0),
        Part(_disc(0.3), None, 0.84),
        Part(_disc(0.24), None, 1.02),
        Part(_box(0.0, -0.035, 0.48, 0.035), DARK),
        Part(_disc(0.06), DARK),
    ]


def _lines(x0: float, y0: float, x1: float, y1: float, width: float) -> list[Part]:
    return [
        Part(_box(x0, y0, x1, y0 + width), WHITE),
        Part(_box(x0, y1 - width, x1, y1), WHITE),
        Part(_box(x0, y0, x0 + width, y1), WHITE),
        Part(_box(x1 - width, y0, x1, y1), WHITE),
    ]


def _tennis_court() -> list[Part]:
    w = 0.022
    parts = [
        Part(_box(-0.5, -0.29, 0.5, 0.29), None, 0.78),
        Part(_box(-0.39, -0.2, 0.39, 0.2), None, 1.05),
        *_lines(-0.39, -0.2, 0.39, 0.2, w),
        Part(_box(-0.39, -0.15, 0.39, -0.15 + w), WHITE),
        Part(_box(-0.39, 0.15 - w, 0.39, 0.15), WHITE),
        Part(_box(-0.21, -0.15, -0.21 + w, 0.15), WHITE),
        Part(_box(0.21 - w, -0.15, 0.21, 0.15), WHITE),
        Part(_box(-0.21, -w / 2, 0.21, w / 2), WHITE),
        Part(_box(-0.012, -0.24, 0.012, 0.24), DARK, casts=True),
    ]
    return parts


def _ring(radius: float, width: float, x: float, ground: Colour | None, shade: float) -> list[Part]:
    return [Part(_disc(radius, x), WHITE), Part(_disc(radius - width, x), ground, shade)]


def _basketball_court() -> list[Part]:
    w = 0.026
    parts = [
        Part(_box(-0.5, -0.32, 0.5, 0.32), None, 1.0),
        *_lines(-0.46, -0.28, 0.46, 0.28, w),
        *_ring(0.13, w, 0.0, None, 1.0),
        Part(_box(-w / 2, -0.28, w / 2, 0.28), WHITE),
    ]
    for side in (-1, 1):
        parts += _ring(0.12, w, side * 0.27, None, 1.0)
        x0, x1 = sorted((side * 0.46, side * 0.26))
        parts += [Part(_box(x0, -0.11, x1, 0.11), None, 0.68), *_lines(x0, -0.11, x1, 0.11, w)]
    return parts


def _swimming_pool() -> list[Part]:
    a, b = _disc(0.27, -0.21, 0.02, 20), _disc(0.22, 0.25, -0.02, 20)
    rim_a, rim_b = _disc(0.31, -0.19, 0.02, 24), _disc(0.26, 0.24, -0.02, 24)
    waist = _poly((-0.2, -0.2), (0.25, -0.22), (0.25, 0.16), (-0.2, 0.24))
    water = (64, 188, 214)
    return [
        Part(_box(-0.26, -0.26, 0.3, 0.26), (226, 220, 204)),
        Part(rim_a, (226, 220, 204)),
        Part(rim_b, (226, 220, 204)),
        Part(a, water),
        Part(b, water),
        Part(waist, water),
        Part(_disc(0.15, -0.23, 0.02), (38, 150, 196)),
        Part(_box(0.1, -0.04, 0.26, 0.02), (150, 226, 236)),
    ]


def _house() -> list[Part]:
    x, y, r = 0.5, 0.4, 0.16
    return [
        Part(_box(-x, -y, x, y), None, 0.9, casts=True),
        Part(_poly((-x, -y), (x, -y), (r, 0), (-r, 0)), None, 0.95, -pi / 2),
        Part(_poly((x, -y), (x, y), (r, 0)), None, 0.95, 0.0),
        Part(_poly((x, y), (-x, y), (-r, 0), (r, 0)), None, 0.95, pi / 2),
        Part(_poly((-x, y), (-x, -y), (-r, 0)), None, 0.95, pi),
        Part(_box(0.16, -0.26, 0.28, -0.14), (96, 70, 62)),
    ]


def _tree() -> list[Part]:
    turn = np.arange(18) * (2 * pi / 18)
    radius = np.where(np.arange(18) % 2 == 0, 0.5, 0.41)
    crown = np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    return [
        Part(crown, None, 0.78, casts=True),
        Part(_disc(0.33, -0.05, -0.04, 11), None, 1.0),
        Part(_disc(0.14, 0.16, 0.12, 9), None, 0.9),
        Part(_disc(0.16, -0.1, -0.1, 9), None, 1.28),
        Part(_disc(0.1, 0.14, -0.16, 9), None, 1.15),
    ]


def _gazebo() -> list[Part]:
    ring = _disc(0.5, sides=6)
    parts = [Part(ring, None, 0.9, casts=True)]
    for k in range(6):
        a, b = ring[k], ring[(k + 1) % 6]
        middle = (a + b) / 2
        shade = 1.06 if k % 2 else 0.74
        parts.append(
            Part(np.stack([a, b, np.zeros(2)]), None, shade, float(np.arctan2(middle[1], middle[0])))
        )
    return [*parts, Part(_disc(0.09), WHITE)]


def _trampoline() -> list[Part]:
    return [
        Part(_disc(0.5, sides=22), None, 1.0, casts=True),
        Part(_disc(0.33, sides=18), (34, 34, 38)),
        Part(_box(-0.04, -0.3, 0.04, 0.3), (70, 70, 76)),
        Part(_box(-0.3, -0.04, 0.3, 0.04), (70, 70, 76)),
    ]


def _barn() -> list[Part]:
    x, y = 0.5, 0.3
    return [
        Part(_box(-x, -y, x, y), None, 0.9, casts=True),
        Part(_box(-x, -y, x, -y * 0.55), None, 0.78, -pi / 2),
        Part(_box(-x, -y * 0.55, x, 0), None, 1.0, -pi / 2),
        Part(_box(-x, 0, x, y * 0.55), None, 1.0, pi / 2),
        Part(_box(-x, y * 0.55, x, y), None, 0.78, pi / 2),
        Part(_box(-x, -0.018, x, 0.018), WHITE),
        Part(_box(-0.2, -0.08, -0.08, 0.08), STEEL),
        Part(_box(0.14, -0.08, 0.26, 0.08), STEEL),
    ]


def _greenhouse() -> list[Part]:
    parts = [Part(_box(-0.5, -0.29, 0.5, 0.29), (206, 222, 222), casts=True)]
    parts += [Part(_box(-0.48, y, 0.48, y + 0.11), (126, 172, 128)) for y in (-0.25, -0.055, 0.14)]
    parts += [Part(_box(x, -0.29, x + 0.025, 0.29), (232, 242, 244)) for x in np.linspace(-0.5, 0.475, 8)]
    return [*parts, Part(_box(-0.5, -0.015, 0.5, 0.015), (236, 244, 246))]


def _truck() -> list[Part]:
    return [
        Part(_box(-0.5, -0.19, 0.2, 0.19), None, 0.92, casts=True),
        Part(_box(-0.47, -0.16, 0.17, 0.16), None, 1.05),
        *(Part(_box(x, -0.16, x + 0.025, 0.16), None, 0.78) for x in (-0.31, -0.15, 0.01)),
        Part(_box(0.2, -0.07, 0.26, 0.07), DARK),
        Part(_box(0.25, -0.18, 0.5, 0.18), None, 0.82, casts=True),
        Part(_box(0.38, -0.15, 0.45, 0.15), GLASS),
    ]


def _tractor() -> list[Part]:
    wheels = [
        Part(
            _box(-0.48, side * 0.2 - 0.1, -0.02, side * 0.2 + 0.1) + _poly((0, side * 0.09)), DARK, casts=True
        )
        for side in (-1, 1)
    ]
    front = [Part(_box(0.22, y - 0.05, 0.46, y + 0.05), DARK) for y in (-0.2, 0.2)]
    return [
        *wheels,
        *front,
        Part(_box(-0.1, -0.13, 0.5, 0.13), None, 1.0, casts=True),
        Part(_box(-0.42, -0.19, 0.02, 0.19), None, 0.88, casts=True),
        Part(_box(-0.34, -0.13, -0.06, 0.13), GLASS),
        Part(_box(0.3, -0.08, 0.42, 0.08), None, 0.7),
    ]


def _pond() -> list[Part]:
    turn = np.arange(28) * (2 * pi / 28)
    radius = 0.43 + 0.045 * np.sin(2 * turn + 0.6) + 0.035 * np.sin(3 * turn + 1.9)
    shore = np.stack([radius * np.cos(turn), 0.78 * radius * np.sin(turn)], axis=1)
    return [
        Part(shore * 1.06, (138, 122, 92)),
        Part(shore, (66, 104, 122)),
        Part(shore * 0.72, (46, 84, 108)),
        Part(shore * 0.3 + _poly((0.08, -0.06)), (58, 98, 120)),
    ]


def _wind_turbine() -> list[Part]:
    blade = _poly((0.0, -0.05), (0.16, -0.085), (0.5, -0.02), (0.5, 0.024), (0.0, 0.055))
    parts = [Part(_disc(0.15, sides=14), (126, 124, 118))]
    parts += [Part(_turned(blade, k * 2 * pi / 3), None, 1.05, casts=True) for k in range(3)]
    return [*parts, Part(_disc(0.085), None, 0.85, casts=True), Part(_disc(0.035), DARK)]


def _solar_panel() -> list[Part]:
    parts = [Part(_box(-0.5, -0.3, 0.5, 0.3), (206, 208, 210), casts=True)]
    for i in range(4):
        for j in range(2):
            x, y = -0.47 + i * 0.24, -0.27 + j * 0.275
            parts.append(Part(_box(x, y, x + 0.215, y + 0.25), (30, 46, 88), 1.0 + 0.18 * ((i + j) % 2)))
    return parts


_BUILDERS = {
    "airplane": _airplane,
    "helicopter": _helicopter,
    "hangar": _hangar,
    "terminal": _terminal,
    "control tower": _control_tower,
    "fuel truck": _fuel_truck,
    "car": _car,
    "bus": _bus,
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
    "truck": _truck,
    "tractor": _tractor,
    "pond": _pond,
    "wind turbine": _wind_turbine,
    "solar panel": _solar_panel,
}


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
    spans = tuple((int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True))
    return Sprite(parts, np.concatenate([part.points for part in parts]), spans)


def placed_points(name: str, length: float, angle: float) -> np.ndarray:
    """All corners turned and scaled, (n, 2), with their bounding box centred on the origin."""
    points = _turned(sprite(name).points, angle) * length
    return points - (points.max(axis=0) + points.min(axis=0)) / 2
