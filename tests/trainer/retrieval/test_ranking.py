from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torch import Tensor

from tests.trainer.cases import random_answers, random_unit, right_sets
from tests.trainer.reference import rank_and_precision, ranking
from trainer.retrieval import gallery as galleries
from trainer.retrieval.answers import NONE, Answers, make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Rankings, dot_scores, queries_at_once, rank_all, rank_batch


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    gallery=st.integers(32, 60),
    most_right=st.sampled_from([1, 4, 30]),  # counted up to 16, sorted above
    levels=st.sampled_from([1, 2, 5, 1000]),  # few levels: many ties, also with the last of the first images
    removed=st.booleans(),
    top=st.sampled_from([1, 10, 58, 70]),  # sometimes more than the gallery has
)
def test_ranks_are_those_of_sorting_in_loops(
    seed: int, gallery: int, most_right: int, levels: int, removed: bool, top: int
) -> None:
    answers = random_answers(6, gallery, seed, most_right, removed)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, levels, (6, gallery), generator=generator) / 7
    _compare(rank_batch(scores, answers, top), scores, answers, top)


def _compare(found: Rankings, scores: Tensor, answers: Answers, top: int) -> None:
    """Against a sort in loops, query by query."""
    width = min(top, scores.shape[1])
    assert found.top.shape == found.scores.shape == (len(scores), width)
    for q, (right, out) in enumerate(zip(right_sets(answers), answers.removed.tolist(), strict=True)):
        order = ranking(scores[q].numpy(), right, out)
        rank, precision = rank_and_precision(order, right)
        assert found.rank[q] == rank
        assert found.average_precision[q] == pytest.approx(precision, abs=1e-12)
        assert found.top[q].tolist() == [*order, NONE][:width]
        assert torch.equal(found.scores[q, : len(order)], scores[q, order[:width]])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """float16 (200, 8) in a memory map: of length 1 without rounding, so that equal rows score the same."""
    rng, vectors = np.random.default_rng(0), np.zeros((200, 8), np.float16)
    for row in vectors:
        row[rng.choice(8, 4, replace=False)] = rng.choice([-0.5, 0.5], 4)
    file = tmp_path_factory.mktemp("stored") / "vectors.npy"
    np.save(file, vectors)
    return np.load(file, mmap_mode="r")


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(8, 150),
    block=st.sampled_from([1, 7, 64]),
    chunk=st.sampled_from([1, 3, 100]),
    top=st.sampled_from([1, 5, 50]),
    most_right=st.integers(1, 6),
    whole=st.booleans(),
)
def test_a_stored_gallery_is_ranked_in_blocks_as_all_at_once(
    stored: np.ndarray, seed: int, images: int, block: int, chunk: int, top: int, most_right: int, whole: bool
) -> None:
    generator = torch.Generator().manual_seed(seed)
    index = torch.randperm(200, generator=generator)[:images]
    queries = torch.randint(
        -2, 3, (7, 8), generator=generator
    ).float()  # few different scores: ties in all blocks
    answers = random_answers(7, images, seed, most_right)
    gallery = Gallery(stored, index)
    read = [part.clone() for part in gallery.blocks(block)]
    assert torch.equal(torch.cat(read), gallery[:]) and max(map(len, read)) == min(block, images)
    with patch.object(galleries, "_BLOCK", block):
        found = rank_all(dot_scores(queries, gallery[:] if whole else gallery), answers, top, chunk)
    naive = queries @ torch.from_numpy(np.array(stored[index.numpy()], np.float32)).T
    _compare(found, naive, answers, top)


def test_the_memory_of_the_scores_is_bounded() -> None:
    assert queries_at_once(400_000, 512) * 400_000 * 4 <= 512 * 2**20 < 336 * 400_000 * 4
    assert queries_at_once(10**9, 1) == queries_at_once(2**18, 1) == 1


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


@pytest.mark.parametrize("removed", [NONE, 2])
@pytest.mark.parametrize("other", [0.0, float("inf"), float("-inf")])
def test_no_number_is_an_error(other: float, removed: int) -> None:
    scores = torch.full((3, 100), other)
    scores[1, 2] = float("nan")
    answers = make_answers([0] * 3, [[0]] * 3, [removed] * 3, 100)
    with pytest.raises(ValueError, match="not a number"):
        rank_batch(scores, answers, top=1)
