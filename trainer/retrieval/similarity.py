"""The three similarities and the hybrid one, on batches and on whole galleries.

Every feature is L2-normalised, so a cosine is a dot product. The hybrid similarity is linear in its terms,
S = sum_k w_k q_k . t = (sum_k w_k q_k) . t. So one vector for each query and one matrix product give it for
a whole gallery, in the loss and in the search.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

TERMS = ("triplet", "language", "pseudo_caption")
SHARES = ("image", "text", "graph")

Weights = tuple[float, float, float]  # of TERMS: non-negative, sum 1
Mixture = tuple[float, float, float]  # of SHARES: a, b, d of the triplet query; d may be below 0


@dataclass(frozen=True)
class QueryFeatures:
    """Features of B queries, each (B, D) and L2-normalised.

    Attributes:
        image: f_v(r), of the reference image.
        text: f_t(m), of the modification.
        graph: f_t(c), of the interpretation of the reference's scene graph.
        language: f_t(m joined with c).
        pseudo_caption: f_t(p).
    """

    image: Tensor
    text: Tensor
    graph: Tensor
    language: Tensor
    pseudo_caption: Tensor

    def rows(self, rows: Tensor | slice) -> "QueryFeatures":
        """The features of some queries."""
        return QueryFeatures(*(getattr(self, name)[rows] for name in QUERY_INPUTS))

    def __len__(self) -> int:
        return len(self.image)


QUERY_INPUTS = ("image", "text", "graph", "language", "pseudo_caption")
TEXT_INPUTS = QUERY_INPUTS[1:]
_NOTHING = 1e-3  # the length of a sum of unit vectors below which rounding is most of it


def triplet_query(image: Tensor, text: Tensor, graph: Tensor, mixture: Sequence[float] | Tensor) -> Tensor:
    """normalise(a image + b text + d graph).

    The graph's text says what the reference shows; d below 0 subtracts that from the image's feature.

    Args:
        image, text, graph: (B, D), L2-normalised.
        mixture: a, b, d.

    Returns:
        (B, D), L2-normalised.
    """
    a, b, d = mixture
    return normalize(a * image + b * text + d * graph, dim=-1)


def term_queries(features: QueryFeatures, mixture: Sequence[float] | Tensor) -> Tensor:
    """The query vector of each term, in the order of `TERMS`: (3, B, D), L2-normalised."""
    triplet = triplet_query(features.image, features.text, features.graph, mixture)
    return torch.stack([triplet, features.language, features.pseudo_caption])


def hybrid_query(terms: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """sum_k w_k q_k, whose dot product with an image is the hybrid similarity.

    Args:
        terms: (K, B, D).
        weights: K numbers.

    Returns:
        (B, D), *not* normalised: its length carries how far the terms agree.
    """
    weighting = torch.as_tensor(weights, dtype=terms.dtype, device=terms.device)  # (K,)
    return torch.einsum("k,kbd->bd", weighting, terms)


def similarity(queries: Tensor, gallery: Tensor) -> Tensor:
    """Dot products (..., B, N) of queries (..., B, D) with a gallery (N, D)."""
    return queries @ gallery.T


def input_shares(features: QueryFeatures, weights: Sequence[Weights], mixtures: Sequence[Mixture]) -> Tensor:
    """What each input adds to the hybrid similarity: S = sum_i share_i (q_i . t), over `QUERY_INPUTS`.

    So of many weights and mixtures each costs a sum of five similarities, and no product with the gallery.

    Args:
        weights, mixtures: C of each.

    Returns:
        (C, B, 5). The shares of a triplet query that cancels itself out are 0.
    """
    mixture = features.image.new_tensor(mixtures)  # (C, 3)
    weighting = features.image.new_tensor(weights)
    parts = torch.stack([features.image, features.text, features.graph])  # (3, B, D)
    # |sum_i m_i q_i|^2 from the products of the parts
    products = torch.einsum("ibd,jbd->bij", parts, parts)
    length = torch.einsum("ci,bij,cj->cb", mixture, products, mixture).clamp(min=0).sqrt()
    scale = torch.where(length > _NOTHING, weighting[:, :1] / length, 0.0)  # (C, B)
    triplet = scale[:, :, None] * mixture[:, None]
    return torch.cat([triplet, weighting[:, None, 1:].expand(-1, len(features), -1)], dim=2)
