import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from tests.trainer.cases import random_answers, random_unit, right_sets
from tests.trainer.reference import rank_and_precision, ranking
from trainer.retrieval.answers import make_answers
from trainer.retrieval.ranking import dot_scores, rank_all, rank_batch


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    gallery=st.integers(16, 40),
    most_right=st.integers(1, 14),  # counted up to 8, sorted above
    levels=st.sampled_from([2, 5, 1000]),  # few levels: many ties
    removed=st.booleans(),
)
def test_ranks_are_those_of_sorting_in_loops(
    seed: int, gallery: int, most_right: int, levels: int, removed: bool
) -> None:
    answers = random_answers(6, gallery, seed, most_right, removed)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, levels, (6, gallery), generator=generator) / 7
    found = rank_batch(scores, answers, top=10)
    for q, (right, out) in enumerate(zip(right_sets(answers), answers.removed.tolist(), strict=True)):
        order = ranking(scores[q].numpy(), right, out)
        rank, precision = rank_and_precision(order, right)
        assert found.rank[q] == rank
        assert found.average_precision[q] == pytest.approx(precision, abs=1e-12)
        assert found.top[q].tolist() == order[:10]
        assert torch.equal(found.scores[q], scores[q, order[:10]])


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_chunked_is_naive(chunk: int) -> None:
    queries, gallery, answers = random_unit(30, 8, 1), random_unit(50, 8, 2), random_answers(30, 50, 3)
    scores = (queries @ gallery.T * 64).round() / 64  # ties, and the same numbers whatever the chunk
    whole = rank_batch(scores, answers)
    chunked = rank_all(lambda start, stop: scores[start:stop], answers, chunk=chunk)
    assert torch.equal(whole.rank, chunked.rank)
    assert torch.equal(whole.average_precision, chunked.average_precision)
    assert torch.equal(whole.top, chunked.top) and torch.equal(whole.scores, chunked.scores)
    by_dot = rank_all(dot_scores(queries, gallery), answers, chunk=chunk)
    assert torch.equal(by_dot.rank, rank_batch(queries @ gallery.T, answers).rank)


def test_average_precision_is_that_of_scikit_learn() -> None:
    answers = random_answers(40, 60, 7, most_right=20, removed=False)
    scores = torch.rand(40, 60, generator=torch.Generator().manual_seed(0))
    found = rank_batch(scores, answers).average_precision
    expected = [average_precision_score(r, s) for r, s in zip(answers.right_mask(), scores, strict=True)]
    assert found.tolist() == pytest.approx(expected)


def test_a_tie_never_favours_the_right_answer() -> None:
    answers = make_answers([0, 4], [[0], [4, 1]], [-1, 2], 5)
    found = rank_batch(torch.ones(2, 5), answers)
    assert found.rank.tolist() == [5, 3]
    assert found.top.tolist() == [[1, 2, 3, 4, 0], [0, 3, 1, 4, -1]]


def test_the_removed_image_is_nowhere() -> None:
    scores = torch.tensor([[0.1, 0.9, 0.5]])
    kept = rank_batch(scores, make_answers([2], [[2]], [-1], 3))
    removed = rank_batch(scores, make_answers([2], [[2]], [1], 3))
    assert (kept.rank.item(), removed.rank.item()) == (2, 1)
    assert removed.top.tolist() == [[2, 0, -1]]


def test_extremes_are_ordered_as_numbers() -> None:
    scores = torch.tensor([[-1.0, -0.0, 0.0, 1e-38, float("inf"), float("-inf")]])
    found = rank_batch(scores, make_answers([0], [[0]], [-1], 6))
    assert found.top.tolist() == [[4, 3, 1, 2, 0, 5]]


def test_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a number"):
        rank_batch(torch.tensor([[0.0, float("nan")]]), make_answers([0], [[0]], [-1], 2))
