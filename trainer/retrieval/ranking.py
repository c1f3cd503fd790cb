"""Ranks of the right answers, average precision and the first images, in bounded memory.

Candidates are ordered by score. Among equal scores wrong answers come before right ones, so that a tie never
favours a method; then the gallery's order decides. So the order is total, and the same on every run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.retrieval.answers import NONE, Answers

Scores = Callable[[int, int], Tensor]  # start, stop -> (stop - start, N) scores of these queries
TOP = 50
CHUNK_SCORES = 2**23  # scores held at once; 8 bytes each and a few temporaries
_FEW = 8  # up to so many right answers, counting is faster than sorting


@dataclass(frozen=True)
class Rankings:
    """The gallery as a method ranks it for Q queries.

    Attributes:
        rank: int64 (Q,), 1-based, of the best right answer.
        average_precision: float64 (Q,), 0 to 1.
        top: int64 (Q, K), gallery indices of the first images, -1 where there are fewer.
        scores: float32 (Q, K), of these images; where there is none, the number means nothing.
    """

    rank: Tensor
    average_precision: Tensor
    top: Tensor
    scores: Tensor


def rank_all(scores: Scores, answers: Answers, top: int = TOP, chunk: int | None = None) -> Rankings:
    """Rank the gallery for every query, some queries at a time.

    Args:
        scores: gives the scores of queries start to stop, (stop - start, N).
        answers: of the Q queries.
        top: how many images to keep for each query.
        chunk: queries at a time; by default as many as keep the score matrix small.

    Raises:
        ValueError: a score is NaN.
    """
    chunk = chunk or max(1, CHUNK_SCORES // max(1, answers.gallery_size))
    chunks = []
    for start in range(0, len(answers), chunk):
        stop = min(start + chunk, len(answers))
        chunks.append(rank_batch(scores(start, stop), answers.rows(slice(start, stop)), top))
    return Rankings(
        torch.cat([rankings.rank for rankings in chunks]),
        torch.cat([rankings.average_precision for rankings in chunks]),
        torch.cat([rankings.top for rankings in chunks]),
        torch.cat([rankings.scores for rankings in chunks]),
    )


def dot_scores(queries: Tensor, gallery: Tensor) -> Scores:
    """Scores of query vectors (Q, D) on a gallery (N, D)."""
    return lambda start, stop: queries[start:stop] @ gallery.T


def rank_batch(scores: Tensor, answers: Answers, top: int = TOP) -> Rankings:
    """Rank the gallery for B queries at once.

    Args:
        scores: (B, N).
        answers: of these queries.
        top: how many images to keep for each query; fewer where the gallery is smaller.

    Raises:
        ValueError: a score is NaN.
    """
    keys = _order_keys(scores, answers)  # (B, N), distinct but for the removed image
    exists = answers.right != NONE  # (B, R)
    right_keys = keys.gather(1, answers.right.clamp(min=0))
    if answers.right.shape[1] <= _FEW:
        ranks = torch.stack([(keys > column[:, None]).sum(1) for column in right_keys.T], 1) + 1
    else:
        ranks = keys.shape[1] - torch.searchsorted(keys.sort(1).values, right_keys)
    ranks = ranks.masked_fill(~exists, torch.iinfo(torch.int64).max).sort(1).values  # (B, R)
    count = exists.sum(1)  # (B,)
    hits = torch.arange(1, ranks.shape[1] + 1, device=scores.device, dtype=torch.float64)  # (R,)
    precision = (hits / ranks).masked_fill(hits > count[:, None], 0.0)  # (B, R)
    first = keys.topk(min(top, keys.shape[1]), dim=1)
    return Rankings(
        rank=ranks[:, 0].cpu(),
        average_precision=(precision.sum(1) / count).cpu(),
        top=first.indices.masked_fill(first.values == _REMOVED, NONE).cpu(),
        scores=scores.gather(1, first.indices).float().cpu(),
    )


_REMOVED = torch.iinfo(torch.int64).min


def _order_keys(scores: Tensor, answers: Answers) -> Tensor:
    """int64 (B, N): the larger key comes first, in the order that the module's docstring gives."""
    if torch.isnan(scores).any():
        raise ValueError("a score is not a number")
    bits = (scores.float() + 0.0).view(torch.int32)  # + 0.0 makes one zero of the two
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()  # floats as integers of the same order
    last_first = torch.arange(scores.shape[1] - 1, -1, -1, device=scores.device)
    keys = (ordered << 32) + (~answers.right_mask()).long() * 2**31 + last_first
    return keys.masked_fill(answers.removed_mask(), _REMOVED)
