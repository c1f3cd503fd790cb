"""What is chosen on few queries, made steady: the mean of what wins on resamples of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.retrieval.metrics import MEAN_OF

RESAMPLES = 200
_SEED = 0
_DIGITS = 6


def mean_winner(ranks: Tensor, points: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The mean of the points that win on resamples of the queries, drawn with replacement.

    With few queries the best point of a grid wins by chance, and the next one may be far away. The mean over
    resamples lies where points win again and again (bagging; Breiman, 1996). The winner has the best mean
    recall; points that share it count in equal parts.

    Args:
        ranks: int64 (C, Q), 1-based, of the best right answer of each query under each of the C points.
        points: C points of P numbers.

    Returns:
        P numbers, rounded.
    """
    queries = ranks.shape[1]
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randint(queries, (RESAMPLES, queries), generator=generator)
    times = torch.zeros(RESAMPLES, queries, dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones_like(times))  # how often each query is in each resample
    hits = torch.stack([ranks <= k for k in MEAN_OF]).sum(0).double()  # (C, Q)
    recalls = hits.cpu() @ times.T  # (C, resamples): whole numbers, so that no order of the sum matters
    wins = (recalls == recalls.amax(0)).double()
    share = (wins / wins.sum(0)).mean(1)  # (C,)
    mean = share @ torch.tensor(points, dtype=torch.float64)
    return tuple(round(number, _DIGITS) for number in mean.tolist())
