"""The terms of the hybrid similarity, each alone, and all of them together."""

from torch import Tensor

from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.similarity import TERMS, Mixture, QueryFeatures, term_queries
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, search


def term_scores(
    features: QueryFeatures, gallery: Tensor, choice: Choice, alone: Mixture
) -> dict[str, Scores]:
    """Scores of each of `TERMS` alone, and of the hybrid similarity.

    Args:
        choice: of the hybrid similarity.
        alone: the mixture of the triplet where it is used alone.
    """
    queries = dict(zip(TERMS, term_queries(features, alone), strict=True))
    queries["hybrid"] = choice.queries(features)
    return {name: dot_scores(query, gallery) for name, query in queries.items()}


def triplet_alone(features: QueryFeatures, validation: Split, choice: Choice, how: str) -> Mixture:
    """The best mixture of the triplet without the other terms.

    Args:
        features: of the validation queries.
        choice: of the hybrid similarity; its mixture is taken where nothing is searched.
        how: `method.choose`.
    """
    if how != "validation":
        return choice.mixture
    return search(features, validation.gallery, validation.answers, ("triplet",)).mixture
