"""Retrieval metrics in percent, from ranks and average precisions alone."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.retrieval.answers import Answers
from trainer.retrieval.ranking import Scores, rank_all

RECALLS = (1, 5, 10, 50)
MEAN_OF = (1, 5, 10)  # the K over which `mean_recall` is the mean


def recall_at(rank: Tensor, k: int) -> float:
    """Share of queries, in percent, with a right answer among the first `k`.

    Args:
        rank: (Q,), 1-based, of the best right answer.

    Example:
        >>> recall_at(torch.tensor([1, 3, 8]), 5)
        66.66666666666667
    """
    return 100 * (rank <= k).double().mean().item()


def mean_recall(rank: Tensor) -> Tensor:
    """Mean of R@1, R@5 and R@10 in percent, over the last axis: (..., Q) gives (...)."""
    return 100 * torch.stack([(rank <= k).double().mean(-1) for k in MEAN_OF]).mean(0)


def retrieval_metrics(rank: Tensor, average_precision: Tensor) -> dict[str, float]:
    """R@1, R@5, R@10, R@50, mAP and mean_recall in percent.

    Args:
        rank: (Q,), 1-based, of the best right answer.
        average_precision: (Q,), 0 to 1.

    Raises:
        ValueError: there is no query.
    """
    if len(rank) == 0:
        raise ValueError("no query, no metric")
    metrics = {f"R@{k}": recall_at(rank, k) for k in RECALLS}
    metrics["mAP"] = 100 * average_precision.double().mean().item()
    metrics["mean_recall"] = sum(metrics[f"R@{k}"] for k in MEAN_OF) / len(MEAN_OF)
    return metrics


def score_metrics(scores: Scores, answers: Answers) -> dict[str, float]:
    """The metrics of `retrieval_metrics` for queries that are ranked by `scores`."""
    rankings = rank_all(scores, answers, top=1)
    return retrieval_metrics(rankings.rank, rankings.average_precision)


def objective(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Mean recall and mAP, to be compared in this order.

    They are rounded: the order in which a sum is taken must not decide between equal results.
    """
    return round(metrics["mean_recall"], 9), round(metrics["mAP"], 9)
