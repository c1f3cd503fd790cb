"""A weighted sum of image and text features without training; validation chooses the share of the text."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import normalize

from trainer.retrieval.answers import Answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.metrics import objective, score_metrics
from trainer.retrieval.ranking import Scores, dot_scores

SHARES = tuple(step / 20 for step in range(21))


def fused_query(image: Tensor, text: Tensor, share: float) -> Tensor:
    """normalise((1 - share) image + share text): (B, D) of two (B, D)."""
    return normalize((1 - share) * image + share * text, dim=-1)


def fusion_scores(image: Tensor, text: Tensor, gallery: Tensor | Gallery, share: float) -> Scores:
    """Scores of the fused queries on a gallery (N, D)."""
    return dot_scores(fused_query(image, text, share), gallery)


def choose_share(scores_of: Callable[[float], Scores], answers: Answers) -> float:
    """The share of `SHARES` with the best mean recall on these queries.

    Ties go to the better mAP, then to the smaller share.
    """
    return max(SHARES, key=lambda share: objective(score_metrics(scores_of(share), answers)))
