"""Geometry of outlines, in pixels: area, clipping to a rectangle, the share that lies inside one."""

from collections.abc import Sequence

from pipeline.boxes.box import Box

Point = tuple[float, float]
Bounds = tuple[float, float, float, float]  # x, y, w, h

MOST_PIXELS = 1e9  # a coordinate beyond is a mistake, and its area no longer exact


def is_usable(outline: Sequence[Point]) -> bool:
    """Whether an outline has corners, all of them numbers that can be of an image."""
    return bool(outline) and all(abs(x) <= MOST_PIXELS and abs(y) <= MOST_PIXELS for x, y in outline)


def area(outline: Sequence[Point]) -> float:
    """The area of a polygon, by the shoelace formula; of one or two corners it is 0."""
    doubled = 0.0
    x0, y0 = outline[-1]
    for x1, y1 in outline:
        doubled += x0 * y1 - x1 * y0
        x0, y0 = x1, y1
    return abs(doubled) / 2


def clip(outline: Sequence[Point], x: float, y: float, w: float, h: float) -> tuple[Point, ...]:
    """The part of a polygon inside a rectangle; no corners if nothing of it is there.

    The algorithm is that of Sutherland and Hodgman (1974). A polygon that leaves the rectangle and comes back
    stays one polygon, whose parts are joined along the rectangle's edge: its area is right.
    """
    corners = list(outline)
    for axis, edge, sign in ((0, x, 1), (0, x + w, -1), (1, y, 1), (1, y + h, -1)):
        kept: list[Point] = []
        for index, corner in enumerate(corners):
            before = corners[index - 1]
            depth_before, depth = sign * (before[axis] - edge), sign * (corner[axis] - edge)
            if (depth_before < 0) != (depth < 0):
                share = depth_before / (depth_before - depth)
                crossing = [b + share * (c - b) for b, c in zip(before, corner, strict=True)]
                crossing[axis] = edge  # exactly on it, whatever the rounding
                kept.append((crossing[0], crossing[1]))
            if depth >= 0:
                kept.append(corner)
        corners = kept
        if not corners:
            break
    return tuple(corners)


def bounds(outline: Sequence[Point]) -> Bounds:
    """The upright box (x, y, w, h) that holds an outline."""
    xs, ys = [point[0] for point in outline], [point[1] for point in outline]
    left, top = min(xs), min(ys)
    return left, top, max(xs) - left, max(ys) - top


def is_within(box: Bounds, x: float, y: float, w: float, h: float) -> bool:
    """Whether an upright box lies in a rectangle as a whole."""
    return box[0] >= x and box[1] >= y and box[0] + box[2] <= x + w and box[1] + box[3] <= y + h


def inside_share(box: Box, x: float, y: float, w: float, h: float) -> float:
    """The share of a box's area inside a rectangle, 0 to 1.

    Of a box without area, such as a point, it is 1 where its centre lies inside, else 0; of an outline that
    is not usable it is 0.
    """
    if not is_usable(box.outline):
        return 0.0
    left, top, width, height = box.bounds
    if is_within((left, top, width, height), x, y, w, h):
        return 1.0
    whole = area(box.outline)
    if whole == 0:
        return float(x <= left + width / 2 <= x + w and y <= top + height / 2 <= y + h)
    part = clip(box.outline, x, y, w, h)
    return min(1.0, area(part) / whole) if part else 0.0


def gap(a: Bounds, b: Bounds) -> float:
    """The distance between two upright boxes; 0 where they touch or overlap."""
    across = max(a[0] - b[0] - b[2], b[0] - a[0] - a[2], 0.0)
    down = max(a[1] - b[1] - b[3], b[1] - a[1] - a[3], 0.0)
    return float((across * across + down * down) ** 0.5)


def common_area(a: Bounds, b: Bounds) -> float:
    """The area that two upright boxes share."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return across * down if across > 0 and down > 0 else 0.0
