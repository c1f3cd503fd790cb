"""The loss of vision-fixed tuning: -log softmax of the target's similarity over the gallery or the batch."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from pipeline.base.params import LEARNED_TEMPERATURE
from trainer.retrieval.answers import NONE, Answers, index_mask
from trainer.retrieval.gallery import Gallery, dot_products
from trainer.retrieval.ranking import queries_at_once

GALLERY_CHUNK = 50_000  # images whose similarities to a batch are held at once


class Temperature(nn.Module):
    """Divides similarities; learned as its logarithm, or fixed.

    A learned one starts at `initial` and is clamped to `LEARNED_TEMPERATURE`: CLIP clamps its
    scale at 100, too. A fixed one is used as it is given.
    """

    def __init__(self, initial: float, learned: bool) -> None:
        super().__init__()
        logarithm = torch.tensor(math.log(initial))
        if learned:
            self.logarithm = nn.Parameter(logarithm)
        else:
            self.register_buffer("logarithm", logarithm)
        self.learned = learned

    def forward(self) -> Tensor:
        """The temperature, a scalar."""
        if not self.learned:
            return self.logarithm.exp()
        return self.logarithm.clamp(*map(math.log, LEARNED_TEMPERATURE)).exp()


def contrastive_loss(
    similarities: Tensor, target: Tensor, ignored: Tensor, temperature: Tensor | float
) -> Tensor:
    """-log softmax_t(S(q, t) / tau) at the target, mean over the batch.

    Args:
        similarities: (B, N).
        target: int64 (B,), columns.
        ignored: bool (B, N), images that are neither target nor negative for the query.
        temperature: tau > 0.

    Returns:
        A scalar; 0 where a query has no negative at all.
    """
    return cross_entropy((similarities / temperature).masked_fill(ignored, -math.inf), target)


def batch_loss(
    queries: Tensor,
    gallery: Tensor | Gallery,
    answers: Answers,
    temperature: Tensor | float,
    targets: Tensor | None = None,
) -> Tensor:
    """The loss with the batch's own targets as negatives.

    Args:
        queries: (B, D).
        gallery: (N, D).
        answers: of these B queries.
        temperature: tau > 0.
        targets: int64, of the whole batch, where these queries are only some of it.
    """
    columns = (answers.target if targets is None else targets).unique()  # (M,), sorted
    target = torch.searchsorted(columns, answers.target)  # (B,)
    ignored = (answers.ignored()[:, :, None] == columns).any(1)  # (B, M)
    return contrastive_loss(queries @ gallery[columns].T, target, ignored, temperature)


def gallery_loss(
    queries: Tensor,
    gallery: Tensor | Gallery,
    answers: Answers,
    temperature: Tensor | float,
    chunk: int = GALLERY_CHUNK,
) -> Tensor:
    """The loss with the whole gallery as negatives.

    A gallery of more than `chunk` images, or one that is not in memory, is streamed: only the similarities to
    one chunk are held at a time, and the backward pass computes them again. So memory is bounded by
    B x `chunk`.

    Args:
        queries: (B, D).
        gallery: (N, D), no gradient flows into it.
        answers: of these B queries.
        temperature: tau > 0.
    """
    if answers.gallery_size <= chunk and isinstance(gallery, Tensor):
        return contrastive_loss(queries @ gallery.T, answers.target, answers.ignored_mask(), temperature)
    partial = []  # log sum exp over each chunk, (B,) each
    for start in range(0, answers.gallery_size, chunk):
        columns = torch.arange(start, min(start + chunk, answers.gallery_size), device=queries.device)
        partial.append(
            checkpoint(_log_sum_exp, queries, gallery, answers, columns, temperature, use_reentrant=False)
        )
    positive = (queries * gallery[answers.target]).sum(-1) / temperature  # (B,)
    return (torch.stack(partial).logsumexp(0) - positive).mean()


def hard_loss(
    queries: Tensor,
    gallery: Tensor | Gallery,
    target: Tensor,
    negatives: Tensor,
    temperature: Tensor | float,
) -> Tensor:
    """The loss with given images as negatives.

    Args:
        queries: (B, D).
        gallery: (N, D).
        target: int64 (B,).
        negatives: int64 (B, K), from `hardest`; -1 where a query has fewer.
        temperature: tau > 0.
    """
    columns = torch.cat([target[:, None], negatives], 1)  # (B, K + 1)
    similarities = torch.einsum("bd,bkd->bk", queries, gallery[columns.clamp(min=0)])
    return contrastive_loss(similarities, torch.zeros_like(target), columns < 0, temperature)


def hardest(
    queries: Tensor, gallery: Tensor | Gallery, answers: Answers, count: int, chunk: int | None = None
) -> Tensor:
    """The wrong candidates that are most similar to each query: int64 (Q, count), padded with -1.

    Args:
        queries: (Q, D).
        gallery: (N, D).
        answers: of the Q queries; right answers and the removed image are left out.
        count: K.
        chunk: queries at a time; None: as many as memory should hold.
    """
    chunk = chunk or min(1024, queries_at_once(answers.gallery_size))
    negatives = torch.full((len(queries), count), NONE, device=queries.device)
    for start in range(0, len(queries), chunk):
        rows = slice(start, start + chunk)
        own = answers.rows(rows)
        scores = dot_products(queries[rows], gallery).masked_fill(
            own.right_mask() | own.removed_mask(), -math.inf
        )
        best = scores.topk(min(count, scores.shape[1]), dim=1)
        negatives[rows, : best.indices.shape[1]] = best.indices.masked_fill(best.values == -math.inf, NONE)
    return negatives


def distillation_loss(features: Tensor, before: Tensor) -> Tensor:
    """Mean of 1 - cosine between features (..., D) and the untuned encoder's features of the same texts."""
    return (1 - (features * before).sum(-1)).mean()


def _log_sum_exp(
    queries: Tensor, gallery: Tensor | Gallery, answers: Answers, columns: Tensor, temperature: Tensor | float
) -> Tensor:
    """log sum exp (B,) of the scaled similarities to consecutive columns, without the ignored ones."""
    first, size = int(columns[0]), len(columns)
    index = answers.ignored() - first  # (B, R + 1)
    ignored = index_mask(torch.where((index < 0) | (index >= size), NONE, index), size)
    scaled = queries @ gallery[first : first + size].T / temperature
    # a finite floor: a row that is all ignored would have a NaN gradient
    return scaled.masked_fill(ignored, torch.finfo(scaled.dtype).min / 2).logsumexp(1)
