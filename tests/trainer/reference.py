"""The formulas once more, in NumPy loops over single queries and images."""

import math

import numpy as np


def normalise(vector: np.ndarray) -> np.ndarray:
    return vector / math.sqrt(sum(x * x for x in vector))


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    dot = sum(x * y for x, y in zip(left, right, strict=True))
    return dot / math.sqrt(sum(x * x for x in left)) / math.sqrt(sum(y * y for y in right))


def loss_of(similarities: np.ndarray, target: int, left_out: set[int], temperature: float) -> float:
    """-log softmax at the target over the images that are not left out."""
    kept = [j for j in range(len(similarities)) if j == target or j not in left_out]
    total = sum(math.exp(similarities[j] / temperature) for j in kept)
    return -math.log(math.exp(similarities[target] / temperature) / total)


def ranking(scores: np.ndarray, right: set[int], removed: int) -> list[int]:
    """Candidates, best first; of equal scores, wrong ones first, then in gallery order."""
    candidates = [j for j in range(len(scores)) if j != removed]
    return sorted(candidates, key=lambda j: (-scores[j], j in right, j))


def rank_and_precision(order: list[int], right: set[int]) -> tuple[int, float]:
    """1-based rank of the first right answer, and average precision."""
    first, found, precisions = 0, 0, []
    for place, image in enumerate(order, start=1):
        if image in right:
            found += 1
            first = first or place
            precisions.append(found / place)
    return first, sum(precisions) / len(right)
