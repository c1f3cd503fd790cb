"""Which of the pairs that were found become queries: limits, and a balance over kinds of change."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.base.progress import Progress
from pipeline.base.schemas import MADE
from pipeline.pairs.difference import Change, kind_of
from pipeline.pairs.index import GraphIndex

MOST_RIGHT = 100  # right answers of a query; a target that is so common is no target


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the index. `family`: a name that images of one site share."""

    image_id: str
    split: str
    family: str | None


@dataclass(frozen=True)
class Chosen:
    """A query to be worded."""

    query_id: str
    reference: Image
    target: Image
    right: tuple[str, ...]  # ids of all right answers, sorted; the target's is among them
    kind: str
    changes: tuple[Change, ...]
    hard: int  # images of the scope that have all groups of the target but one, the reference apart


@dataclass
class Choice:
    """The queries of a dataset in the order of their ids, and what was counted on the way."""

    queries: list[Chosen] = field(default_factory=list)
    found: int = 0  # ordered pairs of different graphs
    too_common: int = 0  # of these, whose target more than `MOST_RIGHT` images show
    too_large: int = 0  # chosen queries whose edits do not fit a summary of the reference


def choose(index: GraphIndex, images: Sequence[Image], seed: int, per_image: int, most: int) -> Choice:
    """Choose queries, at most `per_image` for each reference and `most` for each split.

    Kinds of change take turns, so that a frequent kind fills a split only where the rare ones are used up.
    Within a kind, small differences come first; among equal ones, hashes of the seed and the images decide.

    Args:
        images: of the index, by their numbers in it.
    """
    choice = Choice()
    offers: dict[str, dict[str, _Offers]] = {}  # by split and kind
    for pair in Progress(index.pairs(), title="pairs: find", unit="pair", leave=False):
        choice.found += 1
        if len(index.entries[pair.target].images) > MOST_RIGHT:
            choice.too_common += 1
            continue
        facts = sum(change.facts for change in pair.changes)
        for reference in index.entries[pair.reference].images:
            kinds = offers.setdefault(images[reference].split, {})
            order = _hash(seed, images[reference].image_id, index.entries[pair.target].rank)
            kind = kinds.setdefault(kind_of(pair.changes), _Offers())
            kind.add(facts, order, reference, pair.reference, pair.target)
    near = index.near() if index.entries else []
    for kinds in offers.values():
        for image, said, pair in _in_turn(kinds, per_image, most):
            choice.queries.append(_chosen(index, images, image, said, pair, near[pair[1]], seed))
    choice.queries.sort(key=lambda query: query.query_id)
    return choice


def query_id(reference: str, target: str) -> str:
    """The id of a made query: the same whenever it is made, so that a person can bring a corrected one."""
    return MADE + hashlib.blake2b(f"{reference}\0{target}".encode(), digest_size=8).hexdigest()


class _Offers:
    """Pairs of one kind that may become queries, in numbers: of millions few are chosen."""

    def __init__(self) -> None:
        self._columns = (array("H"), array("Q"), array("L"), array("L"), array("L"))

    def add(self, facts: int, order: int, image: int, reference: int, target: int) -> None:
        """Add a pair of entries for an image that shows the first; `facts` differ, `order` is a hash."""
        for column, value in zip(self._columns, (facts, order, image, reference, target), strict=True):
            column.append(value)

    def sorted(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Image and pair, those with the fewest facts first, then by order, then by image."""
        facts, order, image, reference, target = map(np.asarray, self._columns)
        for place in np.lexsort((image, order, facts)):
            yield int(image[place]), (int(reference[place]), int(target[place]))


def _in_turn(
    kinds: dict[str, _Offers], per_image: int, most: int
) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Image, kind and pair of each query."""
    used: Counter[int] = Counter()  # by image
    waiting = {kind: offers.sorted() for kind, offers in kinds.items()}
    given = 0
    while waiting and given < most:
        for kind in sorted(waiting):
            free = (offer for offer in waiting[kind] if used[offer[0]] < per_image)
            offer = next(free, None) if given < most else None
            if offer is None:
                del waiting[kind]
            else:
                image, pair = offer
                used[image] += 1
                given += 1
                yield image, kind, pair


def _chosen(
    index: GraphIndex,
    images: Sequence[Image],
    reference: int,
    kind: str,
    pair: tuple[int, int],
    near: int,
    seed: int,
) -> Chosen:
    own, right = images[reference], index.entries[pair[1]].images
    target = min(right, key=lambda image: (_hash(seed, own.image_id, images[image].image_id), image))
    one, other = (index.entries[number].graph for number in pair)
    is_near = _one_group_apart(one.groups, other.groups)
    return Chosen(
        query_id(own.image_id, images[target].image_id),
        own,
        images[target],
        tuple(sorted(images[image].image_id for image in right)),
        kind,
        index.changes(*pair),
        near - is_near,
    )


def _one_group_apart(one: Sequence[object], other: Sequence[object]) -> bool:
    first, second = Counter(one), Counter(other)
    return max((first - second).total(), (second - first).total()) == 1


def _hash(seed: int, *parts: object) -> int:
    text = "\0".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
