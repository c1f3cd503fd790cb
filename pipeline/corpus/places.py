"""Splits by place: images of one place lie in one split.

One place are images with one stated place, images whose bounds overlap on the map, and equal files. Tiles
follow their image.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base.schemas import SPLITS
from pipeline.corpus.georeference import Bounds

if TYPE_CHECKING:
    import numpy as np

_MOST_CELLS = 10_000  # of the grid, that one box may cover


@dataclass(frozen=True)
class Placed:
    """What is known of an image's place; `bounds` in `crs`, which may be None."""

    image_id: str
    content: str  # of the file, its sha256
    weight: int = 1  # images that it becomes
    split: str | None = None
    place: str | None = None
    crs: str | None = None
    bounds: Bounds | None = None


@dataclass
class Assigned:
    """Split and place of each image by its id, and what was noticed.

    Attributes:
        assumed: images whose split nothing states.
        shared: places whose images are stated in several splits, in words.
    """

    splits: dict[str, str]
    places: dict[str, str]
    assumed: int
    shared: list[str]


class _Union:
    """Disjoint sets of numbers."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, item: int) -> int:
        while self._parent[item] != item:
            self._parent[item] = item = self._parent[self._parent[item]]
        return item

    def join(self, one: int, other: int) -> None:
        a, b = self.find(one), self.find(other)
        self._parent[max(a, b)] = min(a, b)


def assign(images: Sequence[Placed], seed: int, shares: Sequence[float]) -> Assigned:
    """Give every image a split: the stated one, that of its place, or one by `shares`.

    Places go in an order that a hash of seed and name gives, each to the split that lacks most images. Where
    there are at least as many places as splits with a share, none of these splits is empty.

    Args:
        images: sorted by id.
        shares: of train, val and test; they sum to 1.
    """
    groups = _groups(images)
    splits: dict[str, str] = {}
    shared: list[str] = []
    filled: Counter[str] = Counter()
    waiting = []
    for members in groups.values():
        votes = Counter(image.split for image in members if image.split is not None)
        for image in members:
            if image.split is not None:
                splits[image.image_id] = image.split
                filled[image.split] += image.weight
        if not votes:
            waiting.append(members)
            continue
        if len(votes) > 1 and len({image.content for image in members}) > 1:
            stated = {image.split: image.image_id for image in reversed(members) if image.split}
            names = ", ".join(f"'{stated[split]}' ({split})" for split in SPLITS if split in stated)
            shared.append(f"{members[0].place or 'images that overlap'}: {names}")
        usual = votes.most_common(1)[0][0]
        for image in members:
            if image.split is None:
                splits[image.image_id] = usual
                filled[usual] += image.weight
    assumed = sum(len(members) for members in waiting)
    waiting.sort(key=lambda members: hashlib.sha256(f"{seed}/{_name(members)}".encode()).digest())
    wanted = {split: share for split, share in zip(SPLITS, shares, strict=True) if share > 0}
    total = sum(image.weight for image in images)
    for number, members in enumerate(waiting):
        empty = [split for split in wanted if not filled[split]]
        open_splits = empty if len(waiting) - number <= len(empty) else list(wanted)
        split = max(open_splits, key=lambda name: wanted[name] * total - filled[name])
        filled[split] += sum(image.weight for image in members)
        splits |= {image.image_id: split for image in members}
    return Assigned(splits, _places(groups.values()), assumed, shared)


def _name(members: Sequence[Placed]) -> str:
    return min(image.place or image.image_id for image in members)


def _places(groups: Iterable[Sequence[Placed]]) -> dict[str, str]:
    """The stated place, or the first image's id of several that overlap."""
    places = {}
    for members in groups:
        mapped = [image for image in members if image.bounds is not None]
        for image in members:
            if image.place is not None:
                places[image.image_id] = image.place
            elif image.bounds is not None and len(mapped) > 1:
                places[image.image_id] = _name(members)
    return places


def _groups(images: Sequence[Placed]) -> dict[int, list[Placed]]:
    union = _Union(len(images))
    first: dict[tuple[str, str], int] = {}
    for number, image in enumerate(images):
        keys = [("content", image.content), *([("place", image.place)] if image.place is not None else [])]
        for key in keys:
            union.join(first.setdefault(key, number), number)
    by_crs: dict[str | None, dict[Bounds, int]] = defaultdict(dict)
    for number, image in enumerate(images):
        if image.bounds is not None:
            union.join(by_crs[image.crs].setdefault(image.bounds, number), number)
    for boxes in by_crs.values():
        _join_overlapping(boxes, union)
    groups: dict[int, list[Placed]] = defaultdict(list)
    for number, image in enumerate(images):
        groups[union.find(number)].append(image)
    return groups


def _join_overlapping(boxes: Mapping[Bounds, int], union: _Union) -> None:
    """Join the boxes that overlap. A grid with cells of the usual box's size keeps far ones apart."""
    import numpy as np

    if len(boxes) < 2:
        return
    edges, numbers = np.array(list(boxes)), list(boxes.values())
    size = np.maximum(np.median(edges[:, 2:] - edges[:, :2], axis=0), np.finfo(float).tiny)
    order = np.argsort(-(edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1]), kind="stable")
    spans = np.floor(edges / np.tile(size, 2))
    cells: dict[tuple[float, float], list[int]] = defaultdict(list)
    large: list[int] = []  # a box over many cells is compared with all others instead
    for row in order.tolist():
        left, bottom, right, top = spans[row].tolist()
        if (right - left + 1) * (top - bottom + 1) > _MOST_CELLS:
            large.append(row)
            continue
        for x in range(int(left), int(right) + 1):
            for y in range(int(bottom), int(top) + 1):
                cells[x, y].append(row)
    everything = np.arange(len(edges))
    for rows in cells.values():
        for place in range(1, len(rows)):
            _join_row(rows[place], np.array(rows[:place]), edges, numbers, union)
    for row in large:
        _join_row(row, everything, edges, numbers, union)


def _join_row(row: int, others: "np.ndarray", edges: "np.ndarray", numbers: list[int], union: _Union) -> None:
    import numpy as np

    near = edges[others]
    # neighbours in a grid of images share an edge, and rounding must not make that an overlap
    width = np.minimum(near[:, 2], edges[row, 2]) - np.maximum(near[:, 0], edges[row, 0])
    height = np.minimum(near[:, 3], edges[row, 3]) - np.maximum(near[:, 1], edges[row, 1])
    least = 1e-6 * (edges[row, 2:] - edges[row, :2])
    for other in others[(width > least[0]) & (height > least[1])].tolist():
        union.join(numbers[row], numbers[other])
