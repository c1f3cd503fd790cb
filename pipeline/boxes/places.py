"""Rule: like objects are one group with a count and a place; a class never makes more than a few groups.

A place is a cell of the 3 x 3 grid, by the centre of the object. A class whose objects all look alike and
form one row is one group. Of another class in an image is said the first of these that makes at most
`MOST_GROUPS` groups:

1. objects that look alike and lie in one cell: "two small planes at the top left";
2. objects that lie in one cell, with the looks that all of them share;
3. all of them together, without a place, with the looks that all of them share: "many cars".

Groups of three or more that form a row are "lined-up" besides (`rows.py`).

A group of more than `MOST_COUNTED` is "many": nobody counts 40 cars in a picture, or notices one more.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from pipeline.boxes import rows
from pipeline.boxes.geometry import Bounds

MOST_GROUPS = 4
MOST_COUNTED = 12
MANY = "many"

Words = tuple[str, ...]


@dataclass(slots=True)
class Thing:
    """An object of an image.

    Attributes:
        bbox: the part of it inside the image, as an upright box (x, y, w, h) in pixels.
        cell: the place of its centre.
        looks: words for its size, orientation and colour, and what the file says of it besides.
        number: its place in the image's order.
    """

    name: str
    bbox: Bounds
    cell: str
    looks: Words = ()
    number: int = -1


@dataclass(slots=True)
class Kind:
    """Things of one name that are said together; `cell` is None where they lie all over the image."""

    name: str
    things: list[Thing]
    cell: str | None
    looks: Words

    @property
    def quantity(self) -> str | None:
        """The word for a number that nobody counts."""
        return MANY if len(self.things) > MOST_COUNTED else None


def kinds_of(things: Sequence[Thing]) -> list[Kind]:
    """The groups of one class's things, each in the order of `things`."""
    found = _kinds(things, lambda thing: (thing.cell, thing.looks))
    if len(found) > 1 and len({thing.looks for thing in things}) == 1 and _in_row(things):
        found = [_everywhere(things)]
    if len(found) > MOST_GROUPS:
        found = _kinds(things, lambda thing: thing.cell)
    if len(found) > MOST_GROUPS:
        found = [_everywhere(things)]
    for kind in found:
        if _in_row(kind.things):
            kind.looks = (rows.WORD, *kind.looks)
    return found


def _in_row(things: Sequence[Thing]) -> bool:
    return rows.is_row([thing.bbox for thing in things])


def _everywhere(things: Sequence[Thing]) -> Kind:
    return Kind(things[0].name, list(things), None, _shared(things))


def _kinds(things: Sequence[Thing], key: Callable[[Thing], Hashable]) -> list[Kind]:
    groups: dict[Hashable, list[Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return [Kind(group[0].name, group, group[0].cell, _shared(group)) for group in groups.values()]


def _shared(things: Sequence[Thing]) -> Words:
    return tuple(word for word in things[0].looks if all(word in thing.looks for thing in things))
