"""Large images cut into tiles, and the boxes that belong to each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from pipeline.boxes.box import Box

_EDGE = 1e-9  # shares are sums of rounded numbers


class Tile(NamedTuple):
    """A part of an image in pixels, from the image's top left."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Cutting:
    """How images are cut; `corpus.tile_*` in docs/parameters.md."""

    size: int
    overlap: int = 0
    keep: float = 0.8
    drop_cut: bool = True
    objects: tuple[int, int] | None = None


@dataclass(frozen=True)
class Content:
    """The objects of a tile, in its own pixels, and how many others the tile cuts."""

    boxes: list[Box]
    cut: int


def tiles(width: int, height: int, cutting: Cutting) -> list[Tile]:
    """Tiles that cover an image row by row; the last of a row and of a column end at the image's edge.

    An image that is no larger than one tile is not cut: there are no tiles then.
    """
    size = cutting.size
    if width <= size and height <= size:
        return []
    step = size - cutting.overlap
    return [
        Tile(x, y, min(size, width), min(size, height))
        for y in _starts(height, size, step)
        for x in _starts(width, size, step)
    ]


def _starts(length: int, size: int, step: int) -> list[int]:
    last = max(0, length - size)
    return [*range(0, last, step), last]


def content(boxes: Sequence[Box], tile: Tile, keep: float) -> Content:
    """The objects that belong to a tile: at least the share `keep` of their area lies inside.

    An object of which more than 1 - `keep` and less than `keep` lies inside is cut; the tile shows it, but
    not as what it is. Of a point, all lies inside or nothing.
    """
    inside, cut = [], 0
    for box in boxes:
        share = share_inside(box, tile)
        if share >= keep - _EDGE:
            moved = tuple((x - tile.x, y - tile.y) for x, y in box.outline)
            inside.append(replace(box, outline=moved))
        elif share > 1 - keep + _EDGE:
            cut += 1
    return Content(inside, cut)


def share_inside(box: Box, tile: Tile) -> float:
    """The share of an outline's area that lies in a tile, 0 to 1."""
    x, y, w, h = box.bounds
    right, bottom = tile.x + tile.w, tile.y + tile.h
    if x >= right or y >= bottom or x + w < tile.x or y + h < tile.y:
        return 0.0
    if x >= tile.x and y >= tile.y and x + w <= right and y + h <= bottom:
        return 1.0
    whole = _area(box.outline)
    if whole <= 0:
        return float(tile.x <= x + w / 2 < right and tile.y <= y + h / 2 < bottom)
    part: list[tuple[float, float]] = list(box.outline)
    for axis, limit, sign in ((0, tile.x, 1), (0, right, -1), (1, tile.y, 1), (1, bottom, -1)):
        part = _clipped(part, axis, limit, sign)
    return min(1.0, _area(part) / whole)


def _clipped(
    outline: list[tuple[float, float]], axis: int, limit: float, sign: int
) -> list[tuple[float, float]]:
    """The part of a polygon on one side of a line (Sutherland and Hodgman, 1974)."""
    kept = []
    for start, end in zip(outline, [*outline[1:], *outline[:1]], strict=True):
        before, after = sign * (start[axis] - limit), sign * (end[axis] - limit)
        if before >= 0:
            kept.append(start)
        if before * after < 0:
            t = before / (before - after)
            kept.append((start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])))
    return kept


def _area(outline: Sequence[tuple[float, float]]) -> float:
    pairs = zip(outline, [*outline[1:], *outline[:1]], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs)) / 2
