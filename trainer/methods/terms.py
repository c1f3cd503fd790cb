"""The terms of the hybrid similarity, each alone, and all of them together."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.similarity import TERMS, QueryFeatures, term_queries
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, choose


def term_scores(
    splits: Sequence[Split], features: Sequence[QueryFeatures], choice: Choice, how: str
) -> dict[str, Scores]:
    """Scores on the test split of each of `TERMS` alone, and of the hybrid similarity.

    Args:
        splits, features: of the validation and of the test queries.
        choice: of the hybrid similarity. The triplet alone has the mixture that serves it best without the
            other terms on validation, or this mixture where nothing is searched.
        how: `method.choose`.
    """
    (validation, test), (known, tested) = splits, features
    alone = choice
    if how == "validation":
        alone = choose(known, validation.gallery, validation.answers, ("triplet",))
    queries = dict(zip(TERMS, term_queries(tested, alone.mixture), strict=True))
    queries["hybrid"] = choice.queries(tested)
    return {name: dot_scores(query, test.stored) for name, query in queries.items()}


def top_shares(
    features: QueryFeatures, gallery: Tensor | Gallery, top: Tensor, choice: Choice, batch: int
) -> Tensor:
    """What each of `TERMS` adds to the hybrid similarity of the first images of each query: w_k S_k.

    Args:
        features: of Q queries.
        gallery: (N, D).
        top: int64 (Q, K), indices in the gallery; what stands at an index below 0 means nothing.
        choice: weights and mixture of this hybrid similarity.
        batch: queries at a time.

    Returns:
        (Q, K, 3); its sum over the terms is the score.
    """
    weights = torch.tensor(choice.weights, device=gallery.device)  # (3,)
    chunks = []
    for start in range(0, len(features), batch):
        rows = slice(start, start + batch)
        queries = term_queries(features.rows(rows), choice.mixture)  # (3, B, D)
        images = gallery[top[rows].clamp(min=0).to(gallery.device)]  # (B, K, D)
        chunks.append((torch.einsum("tbd,bkd->bkt", queries, images) * weights).cpu())
    return torch.cat(chunks)
