"""Published protocols of composed image retrieval benchmarks: from rankings to figures in percent.

| benchmark | reference | figures |
|---|---|---|
| CIRR | removed | R@1, 5, 10, 50; R_subset@1, 2, 3 in the query's own set; the mean of R@5 and R_subset@1 |
| FashionIQ | kept | R@10, 50 of each category, and their means over the categories |
| CIRCO | kept | mAP@5, 10, 25, 50 over all right answers; R@5, 10, 25, 50 of the target; mAP@10 by aspect |
| PatternCom | kept | mAP, R@5, 10, 15, 20 and P@5, 10, 15, 20 of each attribute, and their means |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from trainer.benchmarks.fashioniq import CATEGORIES
from trainer.benchmarks.patterncom import ATTRIBUTES
from trainer.retrieval.answers import NONE, Answers
from trainer.retrieval.metrics import recall_at
from trainer.retrieval.ranking import Rankings

FIRST = 50  # images for each query, enough for every protocol


@dataclass(frozen=True)
class Ranked:
    """One category of a benchmark as a method ranks it.

    Attributes:
        answers: of the category's Q queries.
        rankings: of the whole gallery, with the first `FIRST` images.
        set_rankings: of the members of each query's own set alone, as indices of members; None where the
            benchmark has no sets.
        aspects: what each query asks for, in the benchmark's words.
    """

    name: str
    answers: Answers
    rankings: Rankings
    set_rankings: Rankings | None
    aspects: Sequence[Sequence[str]]


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
    """Share of a query's right answers among the first k, float64 (Q,); 0 where it has none; as above."""
    return hit[:, :k].double().sum(1) / right.clamp(min=1)


def precision_at(hit: Tensor, k: int) -> Tensor:
    """Right answers among the first k, over k, float64 (Q,); arguments as above."""
    return hit[:, :k].double().sum(1) / k


def cirr_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """Recall in the gallery and in the set; `mean` is that of R@5 and R_subset@1."""
    (ranked,) = categories
    if ranked.set_rankings is None:
        raise ValueError("CIRR's queries have sets")
    figures = {f"R@{k}": recall_at(ranked.rankings.rank, k) for k in (1, 5, 10, 50)}
    figures |= {f"R_subset@{k}": recall_at(ranked.set_rankings.rank, k) for k in (1, 2, 3)}
    return {**figures, "mean": (figures["R@5"] + figures["R_subset@1"]) / 2}


def fashioniq_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """Recall of each category, and the means over the categories, whatever their sizes."""
    figures = {
        ranked.name: {f"R@{k}": recall_at(ranked.rankings.rank, k) for k in (10, 50)} for ranked in categories
    }
    mean = _means(figures)
    return {**figures, "mean": {**mean, "mean": fmean(mean.values())}}


def circo_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """mAP@K over all right answers, and recall of the target, the one that the text was written for."""
    (ranked,) = categories
    first, right = ranked.rankings.top, _count(ranked)
    hit = hits(first, ranked.answers.right.cpu())
    is_target = hits(first, ranked.answers.target.cpu()[:, None])
    figures: dict[str, Any] = {}
    for k in (5, 10, 25, 50):
        figures[f"mAP@{k}"] = _percent(average_precision_at(hit, right, k))
        figures[f"R@{k}"] = _percent(share_found_at(is_target, torch.ones_like(right), k))
    at_10 = average_precision_at(hit, right, 10)
    names = sorted({aspect for aspects in ranked.aspects for aspect in aspects})
    figures["semantic_mAP@10"] = {
        name: _percent(at_10[[query for query, aspects in enumerate(ranked.aspects) if name in aspects]])
        for name in names
    }
    return figures


def patterncom_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """Figures of each attribute, their mean over the attributes, and over all queries.

    R@K is the share of a query's right answers that are found, not the share of queries with a hit. A query
    that no image answers counts as 0.
    """
    by_query = {ranked.name: _patterncom_queries(ranked) for ranked in categories}
    figures = {
        attribute: {name: _percent(values) for name, values in queries.items()}
        for attribute, queries in by_query.items()
    }
    names = next(iter(figures.values())).keys()
    pooled = {name: _percent(torch.cat([queries[name] for queries in by_query.values()])) for name in names}
    return {**figures, "mean": _means(figures), "all_queries": pooled}


def _patterncom_queries(ranked: Ranked) -> dict[str, Tensor]:
    """Each figure of every query, float64 (Q,), 0 to 1."""
    right = _count(ranked)
    hit = hits(ranked.rankings.top, ranked.answers.right.cpu())
    figures = {"mAP": torch.where(right > 0, ranked.rankings.average_precision, 0.0)}
    for k in (5, 10, 15, 20):
        figures[f"R@{k}"] = share_found_at(hit, right, k)
        figures[f"P@{k}"] = precision_at(hit, k)
    return figures


@dataclass(frozen=True)
class Protocol:
    """How a benchmark counts.

    Attributes:
        figures: of the ranked categories, nested by name.
        headline: the figure by which a share is chosen.
        columns: the figures of a short table. Both are names joined by dots.
    """

    figures: Callable[[Sequence[Ranked]], dict[str, Any]]
    headline: str
    columns: tuple[str, ...]


PROTOCOLS = {
    "cirr": Protocol(cirr_figures, "mean", ("R@1", "R@5", "R@10", "R@50", "R_subset@1", "mean")),
    "fashioniq": Protocol(
        fashioniq_figures,
        "mean.mean",
        (*(f"{name}.R@10" for name in CATEGORIES), "mean.R@10", "mean.R@50"),
    ),
    "circo": Protocol(circo_figures, "mAP@10", ("mAP@5", "mAP@10", "mAP@25", "mAP@50", "R@10")),
    "patterncom": Protocol(
        patterncom_figures,
        "mean.mAP",
        tuple(f"{name}.mAP" for name in (*ATTRIBUTES, "mean", "all_queries")),
    ),
}


def figure(figures: Mapping[str, Any], name: str) -> float:
    """The figure whose names, joined by dots, are `name`."""
    value: Any = figures
    for key in name.split("."):
        value = value[key]
    return value


def figures_table(layout: str, figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines of a short table of figures in percent, by encoder and method."""
    columns = PROTOCOLS[layout].columns
    lines = ["  ".join([f"{'percent':24}", *columns])]
    for encoder, methods in figures.items():
        for method, values in methods.items():
            cells = (f"{figure(values, name):{len(name)}.1f}" for name in columns)
            lines.append("  ".join([f"{encoder + ' ' + method:24}", *cells]))
    return lines


def _count(ranked: Ranked) -> Tensor:
    """How many right answers each query has, int64 (Q,)."""
    return (ranked.answers.right != NONE).sum(1).cpu()


def _percent(values: Tensor) -> float:
    return 100 * values.double().mean().item()


def _means(figures: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over the categories."""
    names = next(iter(figures.values())).keys()
    return {name: fmean(values[name] for values in figures.values()) for name in names}
