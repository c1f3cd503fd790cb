"""ARTEMIS: the modification says where an image must match it, and where the reference (ICLR 2022).

Delmas et al., "Attention-based retrieval with text-explicit matching and implicit similarity", on frozen
features. With attentions A_e(m), A_i(m), a transform T and <., .> of normalised vectors:

    s = < T(m), A_e * t >  +  < A_i * r, A_i * t >
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

_LEAST = 1e-6  # of the length of a target under an attention


class Artemis(nn.Module):
    """What `artemis_scores` needs of a query.

    Args:
        dimension: D of both features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.transform = nn.Linear(dimension, dimension)
        self.explicit = _attention(dimension)
        self.implicit = _attention(dimension)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """(B, 4D) of image and text features (B, D): for each of the two scores what is multiplied with the
        target, and the square of its attention. The scale of an attention does not matter: it is 1.
        """
        explicit, implicit = (normalize(attend(text), dim=-1) for attend in (self.explicit, self.implicit))
        wanted = normalize(self.transform(text), dim=-1) * explicit
        kept = normalize(implicit * image, dim=-1) * implicit
        return torch.cat([wanted, explicit.square(), kept, implicit.square()], -1)


def artemis_scores(queries: Tensor, gallery: Tensor) -> Tensor:
    """Explicit matching plus implicit similarity: (B, N) of queries (B, 4D) and a gallery (N, D).

    The length of a target under an attention is a matrix product as well, so no (B, N, D) is made.
    """
    wanted, explicit, kept, implicit = queries.chunk(4, -1)
    squares = gallery.square().T  # (D, N)
    by_text = wanted @ gallery.T / (explicit @ squares).clamp(min=_LEAST**2).sqrt()
    by_image = kept @ gallery.T / (implicit @ squares).clamp(min=_LEAST**2).sqrt()
    return by_text + by_image


def _attention(dimension: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(dimension, dimension), nn.ReLU(), nn.Linear(dimension, dimension), nn.Softmax(dim=-1)
    )
