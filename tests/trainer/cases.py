"""Random queries, galleries and answers of any shape."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.retrieval.answers import Answers, make_answers
from trainer.retrieval.similarity import QUERY_INPUTS, QueryFeatures


def random_answers(
    queries: int, gallery: int, seed: int, most_right: int = 4, removed: bool = True
) -> Answers:
    """Between one and `most_right` right answers each, and a reference that is none of them."""
    generator = torch.Generator().manual_seed(seed)
    targets, right, references = [], [], []
    for _ in range(queries):
        order = torch.randperm(gallery, generator=generator).tolist()
        count = int(torch.randint(1, most_right + 1, (1,), generator=generator))
        targets.append(order[0])
        right.append(order[:count])
        references.append(order[count] if removed else -1)
    return make_answers(targets, right, references, gallery)


def random_unit(rows: int, dimension: int, seed: int) -> Tensor:
    return normalize(torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed)), dim=-1)


def random_features(queries: int, dimension: int, seed: int) -> QueryFeatures:
    return QueryFeatures(*(random_unit(queries, dimension, seed * 10 + i) for i in range(len(QUERY_INPUTS))))


def right_sets(answers: Answers) -> list[set[int]]:
    return [{place for place in row if place >= 0} for row in answers.right.tolist()]
