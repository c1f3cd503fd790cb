"""The columns of an image that say where, when and under which licence it was taken."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.corpus import georeference
from pipeline.corpus.annotations import Georeference
from pipeline.corpus.checks import printable
from pipeline.corpus.georeference import Bounds
from pipeline.corpus.rendering import Source
from pipeline.corpus.tiles import Tile

_TEXT = 10_000  # characters of a column; a CRS in WKT takes thousands
_KEYS = ("left", "bottom", "right", "top")


@dataclass(frozen=True)
class Columns:
    """What is said of a whole image; `row` gives the columns of it, or of one of its tiles.

    A value that its column cannot hold, such as a text where a number is meant, goes into `extra` as it is.
    """

    date: str | None
    crs: str | None
    bounds: Bounds | None
    gsd: float | None
    licence: str | None
    extra: str | None
    georeference: Georeference | None

    @classmethod
    def of(cls, extras: Mapping[str, Any], source: Source) -> "Columns":
        """What annotations state, and what they do not as far as the image's file states it."""
        left = {name: value for name, value in extras.items() if value is not None}
        found = source.georeference
        crs = _text(left, "crs") or (found.crs if found else None)
        stated = _bounds(left)
        width, height = source.probe.width, source.probe.height
        if found is None and stated is not None:
            found = georeference.from_bounds(stated, width, height, crs)
        bounds = stated
        if bounds is None and found is not None:
            bounds = georeference.bounds(found, 0, 0, width, height)
        gsd = _number(left)
        if gsd is None and found is not None:
            gsd = source.gsd or georeference.ground_sampling_distance(found, width, height)
        date = _text(left, "date") or source.date
        licence = _text(left, "licence")
        extra = json.dumps(left, sort_keys=True, ensure_ascii=False, default=str) if left else None
        extra = None if extra is None else printable(extra, len(extra))
        return cls(date, crs, bounds, gsd, licence, extra, found)

    def row(self, tile: Tile | None) -> dict[str, Any]:
        bounds = self.bounds
        if tile is not None:
            bounds = None if self.georeference is None else georeference.bounds(self.georeference, *tile)
        return {
            "tile": None if tile is None else tile._asdict(),
            "date": self.date,
            "crs": self.crs,
            "bounds": None if bounds is None else dict(zip(_KEYS, bounds, strict=True)),
            "gsd": self.gsd,
            "licence": self.licence,
            "extra": self.extra,
        }


def _text(left: dict[str, Any], name: str) -> str | None:
    value = left.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        return None
    del left[name]
    return printable(str(value).strip(), _TEXT)


def _number(left: dict[str, Any]) -> float | None:
    try:
        number = float(left["gsd"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if isinstance(left["gsd"], bool) or not math.isfinite(number) or number <= 0:
        return None
    del left["gsd"]
    return number


def _bounds(left: dict[str, Any]) -> Bounds | None:
    value = left.get("bounds")
    numbers: Any = [value.get(key) for key in _KEYS] if isinstance(value, Mapping) else value
    try:
        west, south, east, north = map(float, numbers)
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
        return None
    del left["bounds"]
    return west, south, east, north
