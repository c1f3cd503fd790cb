"""What lies on the ground and is in no graph: runways, streets, paths, fields, verges, bushes.

Nothing here has the shape of an object that a graph of the same dataset can name.
"""

from itertools import pairwise
from math import cos, pi, sin

import numpy as np
from PIL import Image, ImageDraw

from embedded.world.draws import choose
from embedded.world.shapes import Colour, polar, turns

_LINE = (226, 224, 214)
_YELLOW = (208, 178, 70)
_STRIPS = ((176, 156, 118), (124, 140, 82), (120, 120, 120))  # dirt, turf, tarmac


class Brush:
    """Draws in canvas coordinates on an image of `scale` pixels a unit."""

    def __init__(self, image: Image.Image, scale: float) -> None:
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.scale = scale

    def polygon(self, points: np.ndarray, colour: Colour, alpha: int = 255) -> None:
        self.draw.polygon((points * self.scale).ravel().tolist(), fill=(*colour, alpha))

    def band(self, line: "Line", width: float, colour: Colour, alpha: int = 255, aside: float = 0.0) -> None:
        """An endless strip along `line`, `aside` units off its middle."""
        self.polygon(line.quad(-400, 400, aside - width / 2, aside + width / 2), colour, alpha)

    def dashes(self, line: "Line", width: float, pitch: float, colour: Colour, aside: float = 0.0) -> None:
        for start in np.arange(-300, 300, pitch).tolist():
            self.polygon(line.quad(start, start + pitch * 0.55, aside - width / 2, aside + width / 2), colour)


class Line:
    """A straight line through (x, y) at an angle; (along, across) coordinates of its own."""

    def __init__(self, x: float, y: float, angle: float) -> None:
        self.origin = np.array([x, y])
        self.along = np.array([cos(angle), sin(angle)])
        self.across = np.array([-sin(angle), cos(angle)])

    def at(self, along: float, across: float) -> np.ndarray:
        return self.origin + along * self.along + across * self.across

    def quad(self, a0: float, a1: float, c0: float, c1: float) -> np.ndarray:
        return np.stack([self.at(a0, c0), self.at(a1, c0), self.at(a1, c1), self.at(a0, c1)])


def _any_line(rng: np.random.Generator, angle: float | None = None) -> Line:
    x, y, turn = rng.random(3)
    return Line(40 + 176 * x, 40 + 176 * y, turn * pi if angle is None else angle)


def _tone(rng: np.random.Generator, colour: Colour, spread: float = 12) -> Colour:
    shift = rng.uniform(-spread, spread)
    return tuple(int(np.clip(c + shift + rng.uniform(-4, 4), 0, 255)) for c in colour)  # type: ignore[return-value]


def _blob(rng: np.random.Generator, radius: float) -> np.ndarray:
    turn = turns(24)
    a, b, p, q = rng.random(4)
    wave = 1 + 0.2 * a * np.sin(2 * turn + 6 * p) + 0.16 * b * np.sin(3 * turn + 6 * q)
    return rng.uniform(0, 256, 2) + radius * polar(turn, wave)


def _runway(brush: Brush, rng: np.random.Generator, colour: Colour, marked: bool) -> Line:
    line = _any_line(rng)
    width = rng.uniform(38, 58)
    colour = _tone(rng, colour)
    brush.band(line, width + 8, _tone(rng, (150, 142, 116)), 130)
    brush.band(line, width, colour)
    if marked:
        brush.dashes(line, 2.2, 26, _LINE)
        for side in (-1, 1):
            brush.band(line, 1.5, _LINE, aside=side * (width / 2 - 4))
        for k in range(-4, 5):
            brush.polygon(line.quad(-118, -96, k * width / 11 - 1.2, k * width / 11 + 1.2), _LINE)
    return line


def _taxiway(brush: Brush, rng: np.random.Generator, runway: Line, colour: Colour) -> None:
    turn = float(np.arctan2(runway.along[1], runway.along[0])) + pi / 2 + rng.uniform(-0.3, 0.3)
    line = _any_line(rng, turn)
    brush.band(line, rng.uniform(18, 26), _tone(rng, colour, 8))
    brush.band(line, 1.4, _YELLOW)


def _airport(brush: Brush, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(1, 4))):
        brush.polygon(_blob(rng, rng.uniform(40, 80)), _tone(rng, (110, 122, 74)), 90)
    runway = _runway(brush, rng, (92, 94, 98), marked=True)
    for _ in range(int(rng.integers(1, 3))):
        _taxiway(brush, rng, runway, (118, 118, 118))


def _airfield(brush: Brush, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 5))):
        brush.polygon(_blob(rng, rng.uniform(25, 70)), _tone(rng, (140, 126, 84), 26), 80)
    runway = _runway(brush, rng, choose(rng, _STRIPS), marked=False)
    for side in (-1, 1):
        brush.band(runway, 2.6, _tone(rng, (148, 128, 98)), 120, aside=side * 6)
    if rng.random() < 0.6:
        brush.band(_any_line(rng), rng.uniform(6, 10), _tone(rng, (170, 150, 116)), 200)


def _suburb(brush: Brush, rng: np.random.Generator) -> None:
    angle = rng.uniform(0, pi)
    parcels = Line(128, 128, angle)
    pitch = rng.uniform(44, 70)
    for i in range(-4, 4):
        for j in range(-4, 4):
            if rng.random() < 0.6:
                tone = _tone(rng, choose(rng, ((104, 128, 70), (150, 140, 96), (128, 142, 84))))
                inset = rng.uniform(1, 4)
                quad = parcels.quad(
                    i * pitch + inset, (i + 1) * pitch - inset, j * pitch + inset, (j + 1) * pitch - inset
                )
                brush.polygon(quad, tone, 120)
    road = _tone(rng, (98, 98, 102))
    for turn in (angle, angle + pi / 2)[: 1 + int(rng.random() < 0.6)]:
        line = _any_line(rng, turn)
        width = rng.uniform(20, 28)
        brush.band(line, width + 9, _tone(rng, (178, 174, 166), 8))
        brush.band(line, width, road)
        brush.dashes(line, 1.5, 16, _LINE)


def _sports_park(brush: Brush, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 5))):
        brush.polygon(_blob(rng, rng.uniform(35, 75)), _tone(rng, (116, 140, 80), 24), 110)
    centre, radius = rng.uniform(40, 216, 2), rng.uniform(70, 120)
    turn = np.linspace(0, 2 * pi, 48)
    path = _tone(rng, choose(rng, ((206, 190, 158), (184, 120, 96), (176, 172, 164))))
    wide = rng.uniform(7, 13)
    outer, inner = polar(turn, radius + wide, 0.8), polar(turn, radius, 0.8)
    brush.polygon(centre + np.concatenate([outer, inner[::-1]]), path)
    for _ in range(int(rng.integers(1, 4))):
        brush.band(_any_line(rng), rng.uniform(5, 9), path)


def _farmland(brush: Brush, rng: np.random.Generator) -> None:
    angle = rng.uniform(0, pi)
    fields = Line(float(rng.uniform(90, 166)), float(rng.uniform(90, 166)), angle)
    tones = ((110, 132, 66), (182, 162, 104), (134, 104, 76), (146, 150, 82), (200, 184, 130))
    edges = [-300.0, float(rng.uniform(-70, -20)), float(rng.uniform(20, 70)), 300.0]
    for a0, a1 in pairwise(edges):
        for c0, c1 in ((-300.0, 0.0), (0.0, 300.0)):
            if rng.random() < 0.7:
                tone = _tone(rng, choose(rng, tones))
                brush.polygon(fields.quad(a0 + 2, a1 - 2, c0 + 2, c1 - 2), tone, 190)
                dark = tuple(int(0.86 * c) for c in tone)
                pitch = rng.uniform(7, 12)
                along = bool(rng.random() < 0.5)
                start, stop = (max(c0, -200), min(c1, 200)) if along else (max(a0, -200), min(a1, 200))
                for at in np.arange(start + 3, stop - 3, pitch):
                    row = (a0 + 3, a1 - 3, at, at + 1.6) if along else (at, at + 1.6, c0 + 3, c1 - 3)
                    brush.polygon(fields.quad(*row), dark, 170)  # type: ignore[arg-type]
    track = _any_line(rng, angle + (pi / 2 if rng.random() < 0.5 else 0))
    brush.band(track, rng.uniform(9, 14), _tone(rng, (188, 168, 132)))
    brush.band(track, 3, _tone(rng, (156, 146, 104)), 150)


def _industrial_area(brush: Brush, rng: np.random.Generator) -> None:
    angle = rng.uniform(0, pi)
    for _ in range(int(rng.integers(3, 6))):
        lot = _any_line(rng, angle)
        length, depth = rng.uniform(40, 110, 2)
        tone = choose(rng, ((136, 134, 130), (110, 110, 112), (176, 170, 158), (150, 136, 116)))
        brush.polygon(lot.quad(-length / 2, length / 2, -depth / 2, depth / 2), _tone(rng, tone), 170)
        if rng.random() < 0.5:
            for at in np.arange(-length / 2 + 6, length / 2 - 4, 9):
                brush.polygon(lot.quad(at, at + 1.1, -depth / 2, -depth / 2 + 13), _LINE, 150)
    for turn in (angle, angle + pi / 2)[: 1 + int(rng.random() < 0.5)]:
        line = _any_line(rng, turn)
        width = rng.uniform(24, 34)
        brush.band(line, width, _tone(rng, (88, 88, 92)))
        for side in (-1, 1):
            brush.band(line, 1.2, _LINE, aside=side * (width / 2 - 2))
        brush.dashes(line, 1.5, 20, _YELLOW)


_PAINTERS = {
    "airport": _airport,
    "airfield": _airfield,
    "suburb": _suburb,
    "sports park": _sports_park,
    "farmland": _farmland,
    "industrial area": _industrial_area,
}
BUSHY = frozenset({"airport", "airfield", "farmland", "industrial area"})  # elsewhere trees are objects


def decorate(image: Image.Image, scale: float, scene: str, rng: np.random.Generator, light: float) -> None:
    """Paint the decoration of a scene name onto its ground."""
    brush = Brush(image, scale)
    _PAINTERS[scene](brush, rng)
    if scene in BUSHY:
        _bushes(brush, rng, light)


def _bushes(brush: Brush, rng: np.random.Generator, light: float) -> None:
    ring = polar(turns(9), 1.0)
    shade = np.array([cos(light), sin(light)]) * 2
    for _ in range(int(rng.integers(0, 4))):
        middle, spread = rng.uniform(0, 256, 2), rng.uniform(6, 26)
        for _ in range(int(rng.integers(3, 9))):
            centre = middle + rng.normal(0, spread, 2)
            crown = ring * rng.uniform(1.8, 3.6) * rng.uniform(0.8, 1.2, (9, 1))
            brush.polygon(centre + shade + crown, (20, 26, 16), 110)
            brush.polygon(centre + crown, _tone(rng, (76, 94, 50), 16))
