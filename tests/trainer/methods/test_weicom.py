"""WeiCom on equal features against its published algorithm (Psomas et al., IGARSS 2024), stated once more.

The published evaluation takes one query at a time: similarities of its image and of its text to every image
of the gallery, the query's own among them; each list through the normal distribution function of its mean and
unbiased standard deviation; (1 - lambda) of the one and lambda of the other; the gallery in descending order.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.cases import random_unit
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.answers import NONE, Answers, make_answers
from trainer.retrieval.ranking import rank_all, rank_batch


def _similarities(query: np.ndarray, gallery: np.ndarray) -> list[float]:
    return [sum(float(a) * float(b) for a, b in zip(query, image, strict=True)) for image in gallery]


def _distributed(similarities: list[float]) -> list[float]:
    count = len(similarities)
    mean = sum(similarities) / count
    deviation = math.sqrt(sum((value - mean) ** 2 for value in similarities) / (count - 1))
    return [0.5 * (1 + math.erf((value - mean) / (deviation * math.sqrt(2)))) for value in similarities]


def published(image: np.ndarray, text: np.ndarray, gallery: np.ndarray, share: float) -> list[float]:
    """Scores of one query, (N,)."""
    by_image = _distributed(_similarities(image, gallery))
    by_text = _distributed(_similarities(text, gallery))
    return [(1 - share) * i + share * t for i, t in zip(by_image, by_text, strict=True)]


def _order(count: int, gallery: int) -> Answers:
    """No image is right and none is removed: rankings are bare."""
    nothing = torch.full((count,), NONE)
    return Answers(nothing, nothing[:, None], nothing, gallery)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(1, 9),
    images=st.integers(2, 60),
    share=st.sampled_from([0.0, 0.3, 0.5, 0.6, 1.0]),
)
def test_scores_and_rankings_are_the_published_ones(
    seed: int, queries: int, images: int, share: float
) -> None:
    # float64: a small deviation would make float32's noise large
    gallery, text = random_unit(images, 16, seed).double(), random_unit(queries, 16, seed + 1).double()
    image = gallery[torch.arange(queries) % images]  # a query's image is one of the gallery
    scores = weicom_scores(image, text, gallery, share)
    found = scores(0, queries)
    assert found.shape == (queries, images)  # every query is kept, and no image is left out
    rankings = rank_all(scores, _order(queries, images), top=images, chunk=2)
    for q in range(queries):
        expected = np.array(published(image[q].numpy(), text[q].numpy(), gallery.numpy(), share))
        np.testing.assert_allclose(found[q].numpy(), expected, atol=1e-9)
        order = rankings.top[q].numpy()
        assert sorted(order) == list(range(images))
        # the same order, but for scores that float32, in which images are ordered, cannot tell apart
        assert (np.diff(expected[order]) <= 1e-6).all()


def test_the_ranking_is_exactly_the_published_one_where_scores_are_apart() -> None:
    gallery, image, text = random_unit(12, 8, 3), random_unit(4, 8, 4), random_unit(4, 8, 5)
    top = rank_all(weicom_scores(image, text, gallery, 0.6), _order(4, 12), top=12).top
    for q in range(4):
        expected = np.array(published(image[q].numpy(), text[q].numpy(), gallery.numpy(), 0.6))
        assert np.diff(np.sort(expected)).min() > 1e-4
        assert top[q].tolist() == np.argsort(-expected).tolist()


def test_the_mean_is_over_the_whole_gallery_though_the_reference_is_removed() -> None:
    gallery, text = random_unit(10, 8, 0), random_unit(3, 8, 1)
    reference = torch.tensor([0, 1, 2])
    scores = weicom_scores(gallery[reference], text, gallery, 0.4)
    nothing = torch.full((3,), NONE)
    top = rank_all(scores, Answers(nothing, nothing[:, None], reference, 10), top=10).top
    for q in range(3):
        expected = np.array(published(gallery[q].numpy(), text[q].numpy(), gallery.numpy(), 0.4))
        order = [place for place in np.argsort(-expected) if place != q]
        assert top[q].tolist() == [*order, NONE]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_query_whose_similarities_are_all_equal_is_kept(share: float) -> None:
    """The published formula divides by a deviation of 0 there and gives no number; here all images tie."""
    gallery = torch.eye(4)[:2]
    flat = torch.tensor([[0.0, 0.0, 1.0, 0.0]])  # as far from one image as from the other
    both = weicom_scores(flat, flat, gallery, share)(0, 1)
    assert both.tolist() == [[0.5, 0.5]]
    assert rank_batch(both, make_answers([0], [[0]], [NONE], 2)).rank.tolist() == [2]


def test_one_flat_side_leaves_the_order_to_the_other() -> None:
    gallery = torch.eye(4)[:3]
    flat = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    text = torch.nn.functional.normalize(torch.tensor([[0.2, 0.9, 0.4, 0.0]]), dim=-1)
    found = weicom_scores(flat, text, gallery, 0.5)(0, 1)[0]
    assert found.argsort(descending=True).tolist() == [1, 2, 0]
