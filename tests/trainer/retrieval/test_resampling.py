import pytest
import torch

from trainer.retrieval.resampling import mean_winner


def test_a_point_that_always_wins_is_the_mean() -> None:
    ranks = torch.tensor([[2, 2, 9], [1, 1, 1], [7, 2, 11]])
    assert mean_winner(ranks, [(0.0, 1.0), (0.25, 0.75), (1.0, 0.0)]) == (0.25, 0.75)


def test_points_that_share_the_best_recall_count_in_equal_parts() -> None:
    ranks = torch.tensor([[1, 4], [60, 60], [1, 4]])
    assert mean_winner(ranks, [(0.0,), (0.9,), (0.5,)]) == (0.25,)


def test_points_count_as_often_as_they_win() -> None:
    """Two queries, and each point serves one of them: a resample holds one alone half of the time."""
    ranks = torch.tensor([[1, 99], [99, 1]])
    (share,) = mean_winner(ranks, [(0.0,), (1.0,)])
    assert share == pytest.approx(0.5, abs=0.1)
    assert mean_winner(ranks, [(0.0,), (1.0,)]) == (share,)  # the same resamples each time


def test_ranks_count_as_in_the_mean_recall() -> None:
    """Ranks 2 and 5 are the same to it, 1 is better, 11 is worth nothing."""
    points = [(0.0,), (1.0,)]
    assert mean_winner(torch.tensor([[2], [5]]), points) == (0.5,)
    assert mean_winner(torch.tensor([[1], [2]]), points) == (0.0,)
    assert mean_winner(torch.tensor([[11], [10]]), points) == (1.0,)
