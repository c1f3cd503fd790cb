"""How what is chosen on few validation queries serves the test split, by each way to choose."""

import random
from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

from trainer.retrieval.answers import Answers
from trainer.retrieval.similarity import QueryFeatures
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, choose, evaluate_choice, search

SIZES = (40, 80, 160, 320)
DRAWS = 5
MEASURES = ("R@1", "mean_recall")
FIXED = "as in params.yaml"
Way = Callable[[QueryFeatures, Tensor, Answers], Choice]
WAYS: dict[str, Way] = {"the best on these queries": search, "mean of winners on resamples": choose}


def measure_choices(
    validation: Split, known: QueryFeatures, test: Split, tested: QueryFeatures, fixed: Choice
) -> dict[str, dict[str, dict[str, float]]]:
    """Test metrics in percent, as means over draws of the validation queries.

    Args:
        validation, known: the queries that choices are made on, and their features.
        test, tested: those that they are measured on.
        fixed: weights and mixture that nobody chose.

    Returns:
        {way: {number of validation queries: {measure: mean}}}; numbers that validation lacks are left out.
    """

    def measured(choice: Choice) -> dict[str, float]:
        return evaluate_choice(tested, test.gallery, test.answers, choice)

    by_way: dict[str, dict[str, dict[str, float]]] = {way: {} for way in (*WAYS, FIXED)}
    for size in (size for size in SIZES if size <= len(known)):
        for way, how in WAYS.items():
            results = [
                measured(how(known.rows(rows), validation.gallery, validation.answers.rows(rows)))
                for rows in _draws(len(known), size)
            ]
            by_way[way][str(size)] = {name: fmean(result[name] for result in results) for name in MEASURES}
        by_way[FIXED][str(size)] = {name: measured(fixed)[name] for name in MEASURES}
    return by_way


def _draws(queries: int, size: int) -> list[Tensor]:
    """Rows of `DRAWS` samples, without replacement and in order: int64 (size,) each."""
    return [
        torch.tensor(sorted(random.Random(f"{size} {draw}").sample(range(queries), size)))
        for draw in range(DRAWS)
    ]
