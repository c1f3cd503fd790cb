"""Recall from ranks, against numbers by hand and a simulation."""

import numpy as np
import polars as pl
import pytest

from pipeline.report.recall import at_every_k, by_kind, recalls


def _ranks(ranks: list[int], families: list[str], kinds: list[str] | None = None) -> pl.DataFrame:
    kinds = kinds or ["add"] * len(ranks)
    return pl.DataFrame({"method": "hybrid", "rank": ranks, "family": families, "kind": kinds})


def test_independent_queries_have_wilsons_interval() -> None:
    ranks = [1] * 8 + [3] * 2
    found = recalls(_ranks(ranks, [str(i) for i in range(10)]), (1, 5))["hybrid"]
    # the variance between ten families of one query is 10/9 of p(1 - p)/n, so they count as nine queries
    assert found[1].value == 80
    n, p, z = 9, 0.8, 1.959964
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    assert found[1].low == pytest.approx(100 * (centre - half) / (1 + z * z / n))
    assert found[1].high == pytest.approx(100 * (centre + half) / (1 + z * z / n))
    assert (found[5].value, found[5].high) == (100, pytest.approx(100))
    assert found[5].low == pytest.approx(100 / (1 + z * z / 10))  # the rule for none that is wrong


def test_queries_of_one_family_that_agree_count_as_one() -> None:
    alike = recalls(_ranks([1, 1, 1, 1, 9, 9, 9, 9], list("aaaabbbb")), (1,))["hybrid"][1]
    apart = recalls(_ranks([1, 1, 1, 1, 9, 9, 9, 9], list("abababab")), (1,))["hybrid"][1]
    assert alike.value == apart.value == 50
    assert alike.high - alike.low > 1.5 * (apart.high - apart.low)  # type: ignore[operator]


def test_one_family_has_no_interval() -> None:
    assert recalls(_ranks([1, 2], ["a", "a"]), (1,))["hybrid"][1].low is None


def test_the_interval_holds_the_true_recall_about_95_times_of_100() -> None:
    rng, held = np.random.default_rng(0), 0
    for _ in range(200):
        chances = rng.beta(4, 2, 60)  # of each family; the mean is 2/3
        hits = rng.random((60, 8)) < chances[:, None]
        families = [str(i) for i in range(60) for _ in range(8)]
        found = recalls(_ranks([1 if hit else 9 for hit in hits.ravel()], families), (1,))["hybrid"][1]
        held += found.low <= 200 / 3 <= found.high  # type: ignore[operator]
    assert 180 <= held <= 199


def test_recall_by_kind_and_at_every_k() -> None:
    ranks = _ranks([1, 4, 2, 7], list("abcd"), ["move", "add", "add", "move"])
    kinds = by_kind(ranks, (1, 5))
    assert (kinds.names, kinds.queries) == (["add", "move"], [2, 2])
    assert kinds.recall == {1: {"hybrid": [0.0, 50.0]}, 5: {"hybrid": [100.0, 50.0]}}
    assert at_every_k(ranks, 5) == {"hybrid": [25.0, 50.0, 50.0, 75.0, 75.0]}
