"""Clustered intervals and tests against closed forms, enumeration and their own promises."""

from itertools import product

import numpy as np
import pytest

from trainer.study.significance import bootstrap_interval, cluster_totals, paired_p_value


def test_totals_and_sizes_of_clusters() -> None:
    totals, sizes = cluster_totals([1.0, 2.0, 4.0, 8.0], ["b", "a", "b", "b"])
    assert totals.tolist() == [2.0, 13.0] and sizes.tolist() == [1, 3]


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([1.0], ["a", "b"])])
def test_lengths_must_agree(values: list[float], clusters: list[str]) -> None:
    with pytest.raises(ValueError, match="as many"):
        cluster_totals(values, clusters)


def test_one_cluster_a_query_is_the_plain_bootstrap() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = bootstrap_interval(values, np.arange(400))
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_copies_within_a_cluster_add_no_certainty() -> None:
    values = np.random.default_rng(2).normal(size=60)
    alone = bootstrap_interval(values, np.arange(60))
    copied = bootstrap_interval(np.repeat(values, 30), np.repeat(np.arange(60), 30))
    assert copied == pytest.approx(alone)
    wrong = bootstrap_interval(np.repeat(values, 30), np.arange(1800))
    assert wrong[1] - wrong[0] < 0.3 * (copied[1] - copied[0])


def test_the_test_is_the_enumeration_of_all_signs() -> None:
    rng = np.random.default_rng(3)
    differences, clusters = rng.normal(0.3, 1, 40), np.repeat(np.arange(10), 4)
    totals, _ = cluster_totals(differences, clusters)
    exact = np.mean(
        [abs(np.dot(signs, totals)) >= abs(totals.sum()) - 1e-9 for signs in product((-1, 1), repeat=10)]
    )
    assert paired_p_value(differences, clusters, draws=40_000) == pytest.approx(exact, abs=0.01)


def test_a_clear_difference_is_seen_and_none_is_not() -> None:
    clusters = np.repeat(np.arange(30), 30)
    better = np.random.default_rng(4).normal(0.2, 0.5, 900)
    assert paired_p_value(better, clusters) < 0.001
    assert paired_p_value(np.zeros(900), clusters) == 1.0
    assert paired_p_value(-better, clusters) == paired_p_value(better, clusters)


def test_the_same_seed_is_the_same_interval() -> None:
    values = np.random.default_rng(5).random(50)
    assert bootstrap_interval(values, np.arange(50) // 5) == bootstrap_interval(values, np.arange(50) // 5)
