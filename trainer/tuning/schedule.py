"""The learning rate over the steps of a run, and the order of the queries in an epoch."""

import math

import torch
from torch import Tensor


def learning_rate(step: int, steps: int, peak: float, warmup_share: float) -> float:
    """Linear warm-up to `peak`, then half a cosine down to 0.

    Args:
        step: 0-based.
        steps: of the whole run.
        peak: the highest rate.
        warmup_share: of the steps, 0 to 1.
    """
    warmup = round(steps * warmup_share)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def epoch_batches(labels: Tensor, batch_size: int, seed: int, epoch: int) -> list[Tensor]:
    """The queries of an epoch in a random order, in batches; a last batch of one query joins the one before.

    Queries with the same label follow one another, so that what they share can be computed once. The order
    depends on seed and epoch alone, so a resumed run takes the same batches.

    Args:
        labels: int64 (Q,), of the queries; all distinct for a plain shuffle.

    Returns:
        Rows of queries, int64, each once.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    shuffled = torch.randperm(len(labels), generator=generator)
    distinct, group = labels.cpu()[shuffled].unique(return_inverse=True)
    turn = torch.randperm(len(distinct), generator=generator)[group]
    batches = list(shuffled[torch.argsort(turn, stable=True)].split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
