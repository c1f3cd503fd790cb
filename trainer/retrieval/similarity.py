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


def hybrid_similarity(terms: Tensor, weights: Sequence[float] | Tensor) -> Tensor:
    """sum_k w_k S_k of the terms' similarities (K, B, N).

    Args:
        weights: (K,), or (C, K) for C weightings at once.

    Returns:
        (B, N), or (C, B, N).
    """
    weighting = torch.as_tensor(weights, dtype=terms.dtype, device=terms.device)
    return torch.einsum("...k,kbn->...bn", weighting, terms)
