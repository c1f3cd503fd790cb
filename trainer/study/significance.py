"""Intervals and paired tests for queries that come in clusters: queries of one family are not independent.

`scipy.stats` is not used: it draws in another way, which changes the last printed digit of most intervals.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000
_CHUNK = 2**24  # products held at once


def cluster_totals(values: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sum of the values and number of queries of every cluster, (C,) each, clusters in sorted order.

    Args:
        values: (Q,), one for each query.
        clusters: (Q,), the name of each query's cluster.

    Raises:
        ValueError: there is no query, or the lengths differ.
    """
    numbers = np.asarray(values, dtype=np.float64)
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    if numbers.ndim != 1 or len(numbers) != len(cluster) or not len(numbers):
        raise ValueError("values and clusters must be as many, and at least one")
    totals = np.bincount(cluster, weights=numbers).astype(np.float64)
    return totals, np.bincount(cluster).astype(np.int64)


def bootstrap_interval(
    values: ArrayLike, clusters: ArrayLike, level: float = 0.95, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean of `values` when whole clusters are drawn with replacement.

    Args:
        values: (Q,).
        clusters: (Q,).
        level: share of the draws that the interval holds.
        draws: how many.
        seed: of the draws.
    """
    totals, sizes = cluster_totals(values, clusters)
    rng, means = np.random.default_rng(seed), []
    for size in _chunks(draws, len(totals)):
        drawn = rng.multinomial(len(totals), np.full(len(totals), 1 / len(totals)), size=size)  # (size, C)
        means.append(drawn @ totals / (drawn @ sizes))
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_p_value(differences: ArrayLike, clusters: ArrayLike, draws: int = DRAWS, seed: int = 0) -> float:
    """Two-sided p of the mean difference by random sign flips of whole clusters.

    Under the hypothesis that neither method is better, a cluster's differences are as likely with the other
    sign. The smallest value is 1 / (draws + 1).

    Args:
        differences: (Q,), one method's value minus the other's, for each query.
        clusters: (Q,).
    """
    totals, _ = cluster_totals(differences, clusters)
    rng, observed = np.random.default_rng(seed), abs(totals.sum())
    as_far = 0
    for size in _chunks(draws, len(totals)):
        signs = rng.integers(0, 2, size=(size, len(totals))) * 2 - 1
        as_far += int((abs(signs @ totals) >= observed - 1e-9).sum())
    return (as_far + 1) / (draws + 1)


def _chunks(draws: int, clusters: int) -> list[int]:
    size = max(1, _CHUNK // clusters)
    return [min(size, draws - start) for start in range(0, draws, size)]
