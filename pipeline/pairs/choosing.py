"""Which of the pairs that were found become queries: limits, and a balance over kinds of change."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.base.progress import Progress
from pipeline.base.schemas import MADE
from pipeline.pairs.difference import Change, kind_of
from pipeline.pairs.index import GraphIndex, Pair

_Offer = tuple[int, int, int, Pair]  # facts that differ, a hash, the reference, the pair
MOST_RIGHT = 100  # right answers of a query; a target that is so common is no target


@dataclass(frozen=True)
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
    offers: dict[str, dict[str, list[_Offer]]] = {}  # by split and kind
    for pair in Progress(index.pairs(), title="pairs: find", unit="pair", leave=False):
        choice.found += 1
        if len(index.entries[pair.target].images) > MOST_RIGHT:
            choice.too_common += 1
            continue
        facts = sum(change.facts for change in pair.changes)
        for reference in index.entries[pair.reference].images:
            kinds = offers.setdefault(images[reference].split, {})
            order = _hash(seed, images[reference].image_id, index.entries[pair.target].rank)
            kinds.setdefault(kind_of(pair.changes), []).append((facts, order, reference, pair))
    near = index.near() if index.entries else []
    for kinds in offers.values():
        for reference, kind, pair in _in_turn(kinds, per_image, most):
            choice.queries.append(_chosen(index, images, reference, kind, pair, near[pair.target], seed))
    choice.queries.sort(key=lambda query: query.query_id)
    return choice


def query_id(reference: str, target: str) -> str:
    """The id of a made query: the same whenever it is made, so that a person can bring a corrected one."""
    return MADE + hashlib.blake2b(f"{reference}\0{target}".encode(), digest_size=8).hexdigest()


def _in_turn(kinds: dict[str, list[_Offer]], per_image: int, most: int) -> Iterator[tuple[int, str, Pair]]:
    used: Counter[int] = Counter()  # by reference
    waiting = {
        kind: sorted(offers, key=lambda offer: offer[:3], reverse=True) for kind, offers in kinds.items()
    }
    given = 0
    while waiting and given < most:
        for kind in sorted(waiting):
            offers = waiting[kind]
            while offers and used[offers[-1][2]] >= per_image:
                offers.pop()
            if not offers:
                del waiting[kind]
            elif given < most:
                *_, reference, pair = offers.pop()
                used[reference] += 1
                given += 1
                yield reference, kind, pair


def _chosen(
    index: GraphIndex, images: Sequence[Image], reference: int, kind: str, pair: Pair, near: int, seed: int
) -> Chosen:
    own, right = images[reference], index.entries[pair.target].images
    target = min(right, key=lambda image: (_hash(seed, own.image_id, images[image].image_id), image))
    one, other = (index.entries[number].graph for number in (pair.reference, pair.target))
    is_near = _one_group_apart(one.groups, other.groups)
    return Chosen(
        query_id(own.image_id, images[target].image_id),
        own,
        images[target],
        tuple(sorted(images[image].image_id for image in right)),
        kind,
        pair.changes,
        near - is_near,
    )


def _one_group_apart(one: Sequence[object], other: Sequence[object]) -> bool:
    first, second = Counter(one), Counter(other)
    return max((first - second).total(), (second - first).total()) == 1


def _hash(seed: int, *parts: object) -> int:
    text = "\0".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
