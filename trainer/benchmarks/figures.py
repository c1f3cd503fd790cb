"""What the benchmarks' protocols count with, and a table of their figures."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainer.benchmarks.types import Ranked
from trainer.retrieval.answers import NONE


def hits(first: Tensor, right: Tensor) -> Tensor:
    """bool (Q, K): which of the first images answer the query.

    Args:
        first: int64 (Q, K) gallery indices, -1 where there are fewer.
        right: int64 (Q, R) gallery indices, padded with -1.
    """
    ordered = right.sort(1).values
    index = torch.searchsorted(ordered, first.contiguous()).clamp(max=right.shape[1] - 1)
    return (ordered.gather(1, index) == first) & (first != NONE)


def average_precision_at(hit: Tensor, right: Tensor, k: int) -> Tensor:
    """AP@k, float64 (Q,), 0 to 1: the sum of the precisions at the hits among the first k, over min(k, R).

    CIRCO's formula (Baldrati et al., ICCV 2023). A query without a right answer has 0.

    Args:
        hit: bool (Q, K), K at least k or the whole gallery.
        right: int64 (Q,), how many right answers each query has (R).
    """
    hit = hit[:, :k].double()
    precision = hit.cumsum(1) / torch.arange(1, hit.shape[1] + 1, dtype=torch.float64)  # (Q, k)
    return (precision * hit).sum(1) / right.clamp(min=1, max=k)


def share_found_at(hit: Tensor, right: Tensor, k: int) -> Tensor:
    """Share of a query's right answers among the first k, float64 (Q,); 0 where it has none. As above."""
    return hit[:, :k].double().sum(1) / right.clamp(min=1)


def precision_at(hit: Tensor, k: int) -> Tensor:
    """Right answers among the first k, over k, float64 (Q,). As above."""
    return hit[:, :k].double().sum(1) / k


def count_right(ranked: Ranked) -> Tensor:
    """How many right answers each query has, int64 (Q,)."""
    return (ranked.answers.right != NONE).sum(1).cpu()


def percent(values: Tensor) -> float:
    """The mean of values from 0 to 1, in percent."""
    return 100 * values.double().mean().item()


def means(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the categories, whatever their sizes."""
    names = next(iter(figures.values())).keys()
    return {name: fmean(values[name] for values in figures.values()) for name in names}


def figure(figures: Mapping[str, Any], name: str) -> float:
    """The figure whose names, joined by dots, are `name`."""
    value: Any = figures
    for key in name.split("."):
        value = value[key]
    return value


def figures_table(columns: Sequence[str], figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a short table of figures in percent, by encoder and method."""
    lines = ["  ".join([f"{'percent':24}", *columns])]
    for encoder, methods in figures.items():
        for method, values in methods.items():
            cells = (f"{figure(values, name):{len(name)}.1f}" for name in columns)
            lines.append("  ".join([f"{encoder + ' ' + method:24}", *cells]))
    return lines
