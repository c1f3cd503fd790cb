"""Which pairs become queries: the order of offers, against a plain sort of them."""

import random
from collections import Counter

import pytest

from pipeline.pairs.choosing import _in_turn, _Offers
from pipeline.pairs.index import GraphIndex
from tests.pipeline.pairs.graphs import random_graph

Offer = tuple[int, int, int, int, int]  # facts, order, image, reference, target


def _plainly(kinds: dict[str, list[Offer]], per_image: int, most: int) -> list[tuple[int, str, int, int]]:
    """Kinds take turns, and each gives its first offer whose image is still free."""
    waiting = {kind: sorted(offers) for kind, offers in sorted(kinds.items())}
    used: Counter[int] = Counter()
    given: list[tuple[int, str, int, int]] = []
    while any(waiting.values()) and len(given) < most:
        for kind, offers in waiting.items():
            while offers and used[offers[0][2]] >= per_image:
                offers.pop(0)
            if offers and len(given) < most:
                _, _, image, reference, target = offers.pop(0)
                used[image] += 1
                given.append((image, kind, reference, target))
    return given


@pytest.mark.parametrize(("per_image", "most"), [(1, 1000), (2, 40), (3, 7), (2, 1)])
def test_offers_are_taken_as_a_plain_sort_takes_them(per_image: int, most: int) -> None:
    rng = random.Random(0)
    plain: dict[str, list[Offer]] = {}
    compact: dict[str, _Offers] = {}
    for number in range(300):
        kind = rng.choice(("add", "move", "remove"))
        offer = (rng.randint(1, 3), rng.getrandbits(64), rng.randrange(40), number, 2**31 + number)
        plain.setdefault(kind, []).append(offer)
        compact.setdefault(kind, _Offers()).add(*offer)
    taken = [(image, kind, *pair) for image, kind, pair in _in_turn(compact, per_image, most)]
    assert taken == _plainly(plain, per_image, most) and len(taken) >= min(most, 40)


def test_the_changes_of_a_pair_can_be_had_again() -> None:
    rng, index = random.Random(2), GraphIndex(0, 3)
    for _ in range(100):
        index.add((), random_graph(rng))
    found = list(index.pairs())
    assert found and all(index.changes(pair.reference, pair.target) == pair.changes for pair in found)
