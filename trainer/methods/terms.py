"""The terms of the hybrid similarity, each alone, and all of them together."""

from collections.abc import Sequence

from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.similarity import TERMS, QueryFeatures, term_queries
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, search


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
        alone = search(known, validation.gallery, validation.answers, ("triplet",))
    queries = dict(zip(TERMS, term_queries(tested, alone.mixture), strict=True))
    queries["hybrid"] = choice.queries(tested)
    return {name: dot_scores(query, test.gallery) for name, query in queries.items()}
