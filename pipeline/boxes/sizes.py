"""Rule: an object is small or large beside the usual one of its class in the dataset.

The measure is the share of its image that the outline covers; what is usual is the class's median. A size is
not said where it would mean something else:

- of a class with fewer than `FEWEST` whole objects, whose median says little;
- of a class whose objects are alike within every image and differ between images: there the size tells the
  scale of the image, not the object. Photographs of unknown, differing ground sampling distance look so;
- of an object that the image's edge cuts: it may be of any size;
- of a class that has a size in its name, as "small vehicle".
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.boxes.box import Box
from pipeline.boxes.geometry import Bounds, area, is_usable
from pipeline.boxes.names import singular

SMALL = 0.4  # of the median's area: so a fifth of the airplanes of 1,061 photographs of airports are small
LARGE = 2.5  # and a fifth are large
FEWEST = 20
MOST_BETWEEN = (
    0.95  # of a class's variance of log area may lie between images: there 0.82, of one zoom each 1.0
)
EDGE = 1.0  # pixels from the image's edge within which an object counts as cut

_STEP = math.log(1.01)  # areas are counted in bins of one percent, so memory does not grow with the boxes
_SIZES = frozenset(
    (
        "small", "large", "big", "tiny", "little", "huge", "medium", "mini", "giant", "long", "short",
        "light", "heavy",
    )
)  # fmt: skip


@dataclass
class _Areas:
    """The areas of one class, as the numbers of their bins."""

    bins: Counter[int] = field(default_factory=Counter)
    count: int = 0  # of those that share their image with another one of the class; so are the next three
    total: int = 0
    squares: int = 0
    within: float = 0.0  # sum of squared differences from the mean of the own image


def median_sizes(images: Iterable[tuple[Iterable[Box], int, int]]) -> dict[str, float]:
    """The median share of the image's area for every class whose size may be said, in order of name.

    Args:
        images: boxes, width and height of each image, in pixels. They are read once and not kept.

    Returns:
        Shares, exact to one percent, by the name as graphs write it. The order of the images does not matter.
    """
    classes: dict[str, _Areas] = {}
    for boxes, width, height in images:
        here: dict[str, list[int]] = {}
        for box in boxes:
            covered = area(box.outline) if is_usable(box.outline) else 0
            if covered > 0 and not is_cut(box.bounds, width, height):
                number = round(math.log(covered / (width * height)) / _STEP)
                here.setdefault(singular(box.name), []).append(number)
        for name, numbers in here.items():
            _count(classes.setdefault(name, _Areas()), numbers)
    return {name: _median(classes[name]) for name in sorted(classes) if _tells(name, classes[name])}


def is_cut(box: Bounds, width: int, height: int) -> bool:
    """Whether an upright box reaches an image's edge, so that more of the object may lie beyond it."""
    x, y, w, h = box
    return x < EDGE or y < EDGE or x + w > width - EDGE or y + h > height - EDGE


def size_word(name: str, share: float, sizes: Mapping[str, float]) -> str | None:
    """ "small", "large" or nothing for an object that covers `share` of its image and is not cut."""
    usual = sizes.get(name)
    if usual is None or share <= 0 or not _SIZES.isdisjoint(name.split()):
        return None
    if share < SMALL * usual:
        return "small"
    return "large" if share > LARGE * usual else None


def _count(areas: _Areas, numbers: list[int]) -> None:
    areas.bins.update(numbers)
    if len(numbers) > 1:
        total, squares = sum(numbers), sum(number * number for number in numbers)
        areas.count += len(numbers)
        areas.total += total
        areas.squares += squares
        areas.within += squares - total * total / len(numbers)


def _tells(name: str, areas: _Areas) -> bool:
    """Whether sizes of a class tell its objects apart."""
    if not name or sum(areas.bins.values()) < FEWEST:
        return False
    if areas.count < FEWEST:
        return True  # hardly an image holds two: what the scale does is not known
    spread = areas.squares - areas.total * areas.total / areas.count
    return areas.within > (1 - MOST_BETWEEN) * spread


def _median(areas: _Areas) -> float:
    """The lower median."""
    left = (sum(areas.bins.values()) - 1) // 2
    for number in sorted(areas.bins):
        left -= areas.bins[number]
        if left < 0:
            return math.exp(number * _STEP)
    raise ValueError("no areas")
