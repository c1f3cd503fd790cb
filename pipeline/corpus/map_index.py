"""Images on a map: from map coordinates to their pixels, and which of them hold a place."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from pipeline.base.errors import UserError, add_extra
from pipeline.corpus.annotations import Georeference, ImageFile
from pipeline.corpus.georeference import crs_of

Point = tuple[float, float]
_MOST_CELLS = 1000  # of a feature; a larger one is compared with every image


def to_pixels(georeference: Georeference, points: Sequence[Point]) -> list[Point]:
    """Columns and rows of points in the image's own CRS.

    Raises:
        ZeroDivisionError: the georeference has no inverse.
    """
    a, b, c, d, e, f = georeference.transform
    scale = a * e - b * d
    return [((e * (x - c) - b * (y - f)) / scale, (a * (y - f) - d * (x - c)) / scale) for x, y in points]


class MapIndex:
    """The georeferenced images of one CRS, by a grid of cells as large as the largest of them."""

    def __init__(self, images: Iterable[ImageFile]) -> None:
        self._bounds = {image.image_id: (image, _bounds_of(image)) for image in images}
        sides = [max(x1 - x0, y1 - y0) for _, (x0, y0, x1, y1) in self._bounds.values()]
        self._side = max(sides, default=1.0)
        self._cells: dict[tuple[int, int], list[str]] = defaultdict(list)
        for image_id, (_, bounds) in self._bounds.items():
            for cell in self._cells_of(bounds):
                self._cells[cell].append(image_id)

    def holding(self, points: Sequence[Point]) -> Iterator[ImageFile]:
        """The images whose upright bounds on the map meet those of the points, each once."""
        x0, y0, x1, y1 = bounds = _bounds(points)
        if not all(map(math.isfinite, bounds)):
            return
        if (x1 - x0 + self._side) * (y1 - y0 + self._side) > _MOST_CELLS * self._side**2:
            near: Iterable[str] = self._bounds
        else:
            near = dict.fromkeys(i for cell in self._cells_of(bounds) for i in self._cells.get(cell, ()))
        for image_id in near:
            image, (left, low, right, high) = self._bounds[image_id]
            if x0 <= right and left <= x1 and y0 <= high and low <= y1:
                yield image

    def _cells_of(self, bounds: tuple[float, float, float, float]) -> Iterator[tuple[int, int]]:
        left, low, right, high = (math.floor(value / self._side) for value in bounds)
        for column in range(left, right + 1):
            for row in range(low, high + 1):
                yield column, row


def _bounds_of(image: ImageFile) -> tuple[float, float, float, float]:
    assert image.georeference is not None
    a, b, c, d, e, f = image.georeference.transform
    ends = [(x, y) for x in (0, image.width) for y in (0, image.height)]
    return _bounds([(a * x + b * y + c, d * x + e * y + f) for x, y in ends])


def _bounds(points: Sequence[Point]) -> tuple[float, float, float, float]:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def is_usable(image: ImageFile) -> bool:
    """Whether an image has a georeference with finite numbers that can be turned round."""
    if image.georeference is None:
        return False
    a, b, _, d, e, _ = transform = image.georeference.transform
    return all(map(math.isfinite, transform)) and a * e - b * d != 0


def between(source: str, target: str, points: Sequence[Point], file: object) -> list[Point]:
    """Points of one CRS in another, x east and y north in both; infinite where they have no place there.

    Args:
        file: which errors name.

    Raises:
        UserError: rasterio is missing, or knows one of both not.
    """
    if source == target or not points:
        return list(points)
    try:
        from rasterio.warp import transform
    except ImportError:
        remedy = add_extra("geo")
        raise UserError("map coordinates need rasterio, which is missing", remedy, file=file) from None
    xs, ys = zip(*points, strict=True)
    xs, ys, *_ = transform(_crs(source, file), _crs(target, file), xs, ys)
    return list(zip(xs, ys, strict=True))


@lru_cache(maxsize=256)
def _crs(name: str, file: object) -> Any:
    from rasterio import Env
    from rasterio.errors import CRSError

    try:
        with Env():  # in it GDAL logs its errors; outside it prints them
            return crs_of(name)
    except CRSError as error:
        remedy = "Correct it: EPSG:32633 or urn:ogc:def:crs:EPSG::32633 are names"
        raise UserError(f"the CRS is unknown: {error}", remedy, file=file, field="crs", value=name) from None
