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
_PAIRS = 1 << 20  # boxes compared at a time


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


def assign(
    images: Sequence[Placed], seed: int, shares: Sequence[float], alike: Iterable[Sequence[str]] = ()
) -> Assigned:
    """Give every image a split: the stated one, that of its place, or one by `shares`.

    Places go in an order that a hash of seed and name gives, very large ones first, each to the split that
    lacks most images. Where there are at least as many places as splits with a share, none of these is empty.

    Args:
        images: sorted by id.
        shares: of train, val and test; they sum to 1.
        alike: groups of ids of images that look alike: they share a split that nothing states, but no place.
    """
    groups = _groups(images)
    splits: dict[str, str] = {}
    shared: list[str] = []
    filled: Counter[str] = Counter()
    waiting = []
    for members in groups.values():
        stated = {image.split: image.image_id for image in reversed(members) if image.split}
        if len(stated) > 1 and len({image.content for image in members}) > 1:
            names = ", ".join(f"'{stated[split]}' ({split})" for split in SPLITS if split in stated)
            shared.append(f"{members[0].place or 'images that overlap'}: {names}")
    for members in _joined(list(groups.values()), alike):
        votes = Counter(image.split for image in members if image.split is not None)
        for image in members:
            if image.split is not None:
                splits[image.image_id] = image.split
                filled[image.split] += image.weight
        if not votes:
            waiting.append(members)
            continue
        usual = votes.most_common(1)[0][0]
        for image in members:
            if image.split is None:
                splits[image.image_id] = usual
                filled[usual] += image.weight
    assumed = sum(len(members) for members in waiting)
    total = sum(image.weight for image in images)
    wanted = {split: share * total for split, share in zip(SPLITS, shares, strict=True) if share > 0}
    waiting.sort(key=lambda members: _turn(members, seed, min(wanted.values())))
    for number, members in enumerate(waiting):
        empty = [split for split in wanted if not filled[split]]
        open_splits = empty if len(waiting) - number <= len(empty) else list(wanted)
        split = max(open_splits, key=lambda name: wanted[name] - filled[name])
        filled[split] += _weight(members)
        splits |= {image.image_id: split for image in members}
    return Assigned(splits, _places(groups.values()), assumed, shared)


def _turn(members: Sequence[Placed], seed: int, least: float) -> tuple[int, bytes]:
    """What the order of places goes by: those larger than a whole split first, then a hash."""
    weight = _weight(members)
    digest = hashlib.sha256(f"{seed}/{_name(members)}".encode()).digest()
    return (-weight if weight > least else 0), digest


def _weight(members: Sequence[Placed]) -> int:
    return sum(image.weight for image in members)


def _joined(groups: list[list[Placed]], alike: Iterable[Sequence[str]]) -> Iterable[list[Placed]]:
    """The groups, as one where images of them look alike."""
    number = {image.image_id: place for place, members in enumerate(groups) for image in members}
    union = _Union(len(groups))
    for ids in alike:
        for image_id in ids[1:]:
            union.join(number[ids[0]], number[image_id])
    joined: dict[int, list[Placed]] = defaultdict(list)
    for place, members in enumerate(groups):
        joined[union.find(place)] += members
    return joined.values()


def _name(members: Sequence[Placed]) -> str:
    return min(image.place or image.image_id for image in members)


def _places(groups: Iterable[Sequence[Placed]]) -> dict[str, str]:
    """The stated place, or the first image's id of several that overlap."""
    places = {}
    for members in groups:
        mapped = sum(image.bounds is not None for image in members)
        name = _name(members)
        for image in members:
            if image.place is not None:
                places[image.image_id] = image.place
            elif image.bounds is not None and mapped > 1:
                places[image.image_id] = name
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
    spans = np.floor(edges / np.tile(size, 2))
    cells: dict[tuple[float, float], list[int]] = defaultdict(list)
    large: list[int] = []  # a box over many cells is compared with all others instead
    for row, (left, bottom, right, top) in enumerate(spans.tolist()):
        if (right - left + 1) * (top - bottom + 1) > _MOST_CELLS:
            large.append(row)
            continue
        for x in range(int(left), int(right) + 1):
            for y in range(int(bottom), int(top) + 1):
                cells[x, y].append(row)
    for rows in cells.values():
        if len(rows) > 1:
            _join_all(np.array(rows), np.array(rows), edges, numbers, union)
    if large:
        _join_all(np.array(large), np.arange(len(edges)), edges, numbers, union)


def _join_all(
    rows: "np.ndarray", others: "np.ndarray", edges: "np.ndarray", numbers: list[int], union: _Union
) -> None:
    """Join each of `rows` with those of `others` that it overlaps."""
    import numpy as np

    near = edges[others]
    for start in range(0, len(rows), step := max(1, _PAIRS // len(others))):
        some = rows[start : start + step]
        box = edges[some][:, None]
        shared = np.minimum(near[:, 2:], box[..., 2:]) - np.maximum(near[:, :2], box[..., :2])
        sizes = np.minimum(near[:, 2:] - near[:, :2], box[..., 2:] - box[..., :2])
        # neighbours in a grid of images share an edge, and rounding must not make that an overlap
        for one, other in zip(*np.nonzero((shared > 1e-6 * sizes).all(axis=-1)), strict=True):
            union.join(numbers[some[one]], numbers[others[other]])
