"""Ranks of the right answers, average precision and the first images, in bounded memory.

Candidates are ordered by score. Among equal scores wrong answers come before right ones, so that a tie never
favours a method; then the gallery's order decides. So the order is total, and the same on every run.

Nothing is sorted but the first images. The rank of a right answer is how many wrong images score at least as
much as it, and how many right ones come before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainer.retrieval.answers import NONE, Answers
from trainer.retrieval.gallery import Gallery, dot_products

Scores = Callable[[int, int], Tensor]  # start, stop -> (stop - start, N) scores of these queries
TOP = 50
MEMORY_MIB = 64  # of the scores that are held at once where a caller does not say
_FEW = 16  # up to so many right answers, counting is faster than sorting


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


def queries_at_once(gallery_size: int, memory_mib: int = MEMORY_MIB) -> int:
    """How many queries' scores of a gallery fit into some MiB as float32; at least one."""
    return max(1, memory_mib * 2**20 // (4 * max(1, gallery_size)))


def rank_all(scores: Scores, answers: Answers, top: int = TOP, chunk: int | None = None) -> Rankings:
    """Rank the gallery for every query, some queries at a time.

    Args:
        scores: gives the scores of queries start to stop, (stop - start, N).
        answers: of the Q queries.
        top: how many images to keep for each query.
        chunk: queries at a time, as of `queries_at_once`.

    Raises:
        ValueError: a score is NaN.
    """
    chunk = chunk or queries_at_once(answers.gallery_size)
    chunks, held = [], None
    for start in range(0, len(answers), chunk):
        stop = min(start + chunk, len(answers))
        if isinstance(scores, DotScores):
            batch = scores(start, stop, held)
            held = batch.detach() if held is None else held  # new memory for each would cost a tenth more
        else:
            batch = scores(start, stop)
        chunks.append(rank_batch(batch, answers.rows(slice(start, stop)), top))
    return Rankings(
        torch.cat([rankings.rank for rankings in chunks]),
        torch.cat([rankings.average_precision for rankings in chunks]),
        torch.cat([rankings.top for rankings in chunks]),
        torch.cat([rankings.scores for rankings in chunks]),
    )


@dataclass(frozen=True)
class DotScores:
    """Scores of query vectors (Q, D) on a gallery (N, D)."""

    queries: Tensor
    gallery: Tensor | Gallery

    def __call__(self, start: int, stop: int, out: Tensor | None = None) -> Tensor:
        """(stop - start, N); `out` as for `dot_products`."""
        return dot_products(self.queries[start:stop], self.gallery, out)


def dot_scores(queries: Tensor, gallery: Tensor | Gallery) -> Scores:
    """Scores of query vectors (Q, D) on a gallery (N, D)."""
    return DotScores(queries, gallery)


def rank_batch(scores: Tensor, answers: Answers, top: int = TOP) -> Rankings:
    """Rank the gallery for B queries at once.

    Args:
        scores: (B, N).
        answers: of these queries.
        top: how many images to keep for each query; fewer where the gallery is smaller.

    Raises:
        ValueError: a score is NaN.
    """
    scores = scores.detach().float()
    first = _first_images(scores, answers, min(top, scores.shape[1]))
    ranks, count = _right_ranks(scores, answers)
    removed = first == answers.removed[:, None]
    return Rankings(
        rank=ranks[:, 0].cpu(),
        average_precision=average_precision(ranks, count).cpu(),
        top=first.masked_fill(removed, NONE).cpu(),
        scores=scores.gather(1, first).cpu(),
    )


def average_precision(ranks: Tensor, count: Tensor) -> Tensor:
    """Average precision of Q queries: float64 (..., Q), 0 to 1.

    Args:
        ranks: of their right answers, best first, (..., Q, R); a query with fewer has any numbers behind.
        count: right answers of each query, (Q,).
    """
    hits = torch.arange(1, ranks.shape[-1] + 1, device=ranks.device, dtype=torch.float64)  # (R,)
    return (hits / ranks).masked_fill(hits > count[:, None], 0.0).sum(-1) / count


def _right_ranks(scores: Tensor, answers: Answers) -> tuple[Tensor, Tensor]:
    """int64 (B, R): 1-based ranks of the right answers, best first, padded; and their number (B,)."""
    exists = answers.right != NONE  # (B, R)
    count = exists.sum(1)
    right = scores.gather(1, answers.right.clamp(min=0)).masked_fill(~exists, -torch.inf)
    right = right.sort(1, descending=True).values
    removed = scores.gather(1, answers.removed[:, None].clamp(min=0))
    ahead = _count_at_least(scores, right)  # right ones and the removed image included
    ahead -= torch.searchsorted(-right, -right, right=True).minimum(count[:, None])
    ahead -= ((removed >= right) & (answers.removed != NONE)[:, None]).long()
    place = torch.arange(1, right.shape[1] + 1, device=scores.device)  # (R,) among the right ones
    return (ahead + place).masked_fill(place > count[:, None], torch.iinfo(torch.int64).max), count


def _count_at_least(scores: Tensor, thresholds: Tensor) -> Tensor:
    """int64 (B, R): how many of a row of scores (B, N) are not below each of its thresholds (B, R)."""
    if scores.device.type != "cpu":
        return torch.stack([(scores >= column[:, None]).sum(1) for column in thresholds.T], 1)
    # a row at a time, by NumPy, stays in a core's cache: several times faster than torch on all rows
    rows = zip(scores.numpy(), thresholds.numpy(), strict=True)
    if thresholds.shape[1] <= _FEW:
        counts = [[np.count_nonzero(row >= limit) for limit in limits] for row, limits in rows]
    else:
        counts = [len(row) - np.searchsorted(np.sort(row), limits) for row, limits in rows]
    return torch.from_numpy(np.array(counts, np.int64).reshape(thresholds.shape))


def _first_images(scores: Tensor, answers: Answers, top: int) -> Tensor:
    """int64 (B, K): the first images in the order that the module's docstring gives, the removed one last.

    Raises:
        ValueError: a score is NaN.
    """
    size = scores.shape[1]
    # one more in case the removed image is among them, one more to see whether the last one has equals
    best = scores.topk(min(top + 2, size), dim=1)
    if best.values[:, 0].isnan().any():  # NaN comes first in `topk`
        raise ValueError("a score is not a number")
    order = _order_keys(best.values, best.indices, answers).topk(top, dim=1).indices
    first = best.indices.gather(1, order)
    last = best.values.gather(1, order[:, -1:])
    if best.values.shape[1] < size:
        tied = (last == best.values[:, -1:]).any(1)
        for row in tied.nonzero()[:, 0].tolist():
            first[row] = _break_ties(scores[row], first[row], answers.rows(slice(row, row + 1)))
    return first


def _break_ties(scores: Tensor, first: Tensor, answers: Answers) -> Tensor:
    """The first images (K,) of one query, where more images than these score as the last one."""
    last = scores[first[-1]]
    above = first[scores[first] > last]
    equal = (scores == last).nonzero()[:, 0]
    keys = _order_keys(scores[equal][None], equal[None], answers)[0]
    chosen = keys.topk(len(first) - len(above)).indices
    return torch.cat([above, equal[chosen]])


_REMOVED = torch.iinfo(torch.int64).min


def _order_keys(scores: Tensor, images: Tensor, answers: Answers) -> Tensor:
    """int64 (B, M), distinct: the larger key comes first, in the order that the module's docstring gives.

    Args:
        scores, images: (B, M), of some images and their gallery indices.
    """
    bits = (scores + 0.0).view(torch.int32)  # + 0.0 makes one zero of the two
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()  # floats as integers of the same order
    right = answers.right.sort(1).values
    place = torch.searchsorted(right, images).clamp(max=right.shape[1] - 1)
    wrong = right.gather(1, place) != images
    keys = (ordered << 32) + wrong.long() * 2**31 + (2**31 - 1 - images)
    return keys.masked_fill(images == answers.removed[:, None], _REMOVED)
