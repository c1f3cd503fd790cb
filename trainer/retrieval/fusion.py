"""A weighted sum of image and text features without training; validation chooses the share of the text."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.retrieval.answers import Answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Scores, dot_scores, rank_all
from trainer.retrieval.resampling import mean_winner

SHARES = tuple(step / 20 for step in range(21))


def fused_query(image: Tensor, text: Tensor, share: float) -> Tensor:
    """normalise((1 - share) image + share text): (B, D) of two (B, D)."""
    return normalize((1 - share) * image + share * text, dim=-1)


def fusion_scores(image: Tensor, text: Tensor, gallery: Tensor | Gallery, share: float) -> Scores:
    """Scores of the fused queries on a gallery (N, D)."""
    return dot_scores(fused_query(image, text, share), gallery)


def choose_share(scores_of: Callable[[float], Scores], answers: Answers) -> float:
    """The share that serves such queries: the mean of those of `SHARES` that win on resamples of these."""
    ranks = torch.stack([rank_all(scores_of(share), answers, top=1).rank for share in SHARES])
    return mean_winner(ranks, [(share,) for share in SHARES])[0]
