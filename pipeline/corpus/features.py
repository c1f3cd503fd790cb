"""Features of a GeoJSON file: what their geometries outline."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.annotations import ImageFile
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.reading import numbers

_REMEDY = "Use points or polygons"
_DEPTH = 10  # collections within one another


@dataclass(frozen=True)
class Feature:
    """One object of a feature collection; a feature of several parts becomes several.

    Attributes:
        number: 0-based position in the file.
        points: corners of its outline, or the one point that it is, in the file's coordinates.
        image: the one that it names, or that its file is called after.
    """

    number: int
    name: str
    words: tuple[str, ...]
    points: list[tuple[float, float]]
    is_point: bool
    image: ImageFile | None

    @property
    def fits_lon_lat(self) -> bool:
        return all(abs(x) <= 360 and abs(y) <= 90 for x, y in self.points)


def parts_of(geometry: Any, bbox: Any) -> list[tuple[list[tuple[float, float]], bool]]:
    """The outlines of a geometry, or of its `bbox` if it has none, each with whether it is a point.

    Raises:
        Rejected: nothing is outlined, or a coordinate is no finite number.
    """
    if geometry is None and isinstance(bbox, list) and len(bbox) in (4, 6):
        ends = numbers(bbox, "bbox")
        (x0, y0), (x1, y1) = ends[:2], ends[len(ends) // 2 :][:2]
        return [([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], False)]
    if geometry is None:
        raise Rejected("the feature has no geometry", "Add it, or remove the feature", "geometry")
    return list(_parts(Record.checked(geometry, "geometry"), _DEPTH))


def _parts(geometry: Record, depth: int) -> Iterator[tuple[list[tuple[float, float]], bool]]:
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "Point":
        yield [_position(coordinates)], True
    elif kind == "MultiPoint":
        for position in _list(coordinates):
            yield [_position(position)], True
    elif kind == "Polygon":
        yield _ring(coordinates), False
    elif kind == "MultiPolygon":
        for rings in _list(coordinates):
            yield _ring(rings), False
    elif kind == "GeometryCollection" and depth:
        for part in geometry.records("geometries"):
            yield from _parts(part, depth - 1)
    else:
        raise Rejected("the geometry outlines nothing", _REMEDY, "geometry.type", kind)


def _ring(rings: Any) -> list[tuple[float, float]]:
    """The outer ring of a polygon, without its last corner, which repeats the first."""
    rings = _list(rings)
    ring = [_position(position) for position in _list(rings[0] if rings else None)]
    if len(ring) > 1 and ring[0] == ring[-1]:
        ring.pop()
    if len(ring) < 3:
        raise Rejected("the polygon has fewer than three corners", "Correct it", "geometry.coordinates", ring)
    return ring


def _position(value: Any) -> tuple[float, float]:
    values = _list(value)
    if len(values) < 2:
        raise Rejected("a position has fewer than two numbers", "Correct it", "geometry.coordinates", value)
    x, y = numbers(values[:2], "geometry.coordinates")
    return x, y


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Rejected("the value is no list", "Write it as [...]", "geometry.coordinates", value)
    return value
