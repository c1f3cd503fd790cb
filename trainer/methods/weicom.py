"""WeiCom: similarities to image and text on one scale, then mixed (Psomas et al., IGARSS 2024).

Each query's similarities pass through the Gaussian CDF of their own mean and (unbiased) standard deviation
over the whole gallery, the reference included, as in the published code.
"""

import math

import torch
from torch import Tensor

from trainer.retrieval.gallery import Gallery, dot_products
from trainer.retrieval.ranking import Scores


def gaussian_cdf(similarities: Tensor) -> Tensor:
    """0.5 (1 + erf((s - mean) / (std sqrt 2))) with mean and std of each row: (B, N) to (B, N).

    A row whose similarities are all equal becomes 0.5 throughout.
    """
    mean = similarities.mean(dim=-1, keepdim=True)
    deviation = similarities.std(dim=-1, keepdim=True)
    standard = torch.where(deviation > 0, (similarities - mean) / deviation, 0.0)
    return 0.5 * (1 + torch.erf(standard / math.sqrt(2)))


def weicom_scores(image: Tensor, text: Tensor, gallery: Tensor | Gallery, share: float) -> Scores:
    """(1 - share) CDF(image similarity) + share CDF(text similarity).

    Args:
        image, text: (Q, D), L2-normalised.
        gallery: (N, D), L2-normalised.
        share: lambda, of the text.
    """

    def scores(start: int, stop: int) -> Tensor:
        by_image = gaussian_cdf(dot_products(image[start:stop], gallery))
        by_text = gaussian_cdf(dot_products(text[start:stop], gallery))
        return (1 - share) * by_image + share * by_text

    return scores
