import pytest
import torch

from trainer.retrieval.metrics import mean_recall, recall_at, retrieval_metrics


def test_recalls_in_closed_form() -> None:
    rank = torch.tensor([1, 2, 5, 6, 10, 11, 50, 51])
    metrics = retrieval_metrics(rank, 1 / rank.double())
    assert metrics["R@1"] == 12.5
    assert metrics["R@5"] == 37.5
    assert metrics["R@10"] == 62.5
    assert metrics["R@50"] == 87.5
    assert metrics["mean_recall"] == pytest.approx((12.5 + 37.5 + 62.5) / 3)
    assert metrics["mAP"] == pytest.approx(100 * sum(1 / r for r in rank.tolist()) / 8)


def test_a_perfect_ranking_is_one_hundred() -> None:
    assert set(retrieval_metrics(torch.ones(3, dtype=torch.int64), torch.ones(3)).values()) == {100.0}


def test_recall_grows_with_k() -> None:
    rank = torch.randint(1, 60, (100,), generator=torch.Generator().manual_seed(0))
    recalls = [recall_at(rank, k) for k in range(1, 60)]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 100


def test_mean_recall_of_many_rankings_at_once() -> None:
    ranks = torch.randint(1, 20, (4, 30), generator=torch.Generator().manual_seed(1))
    expected = [retrieval_metrics(row, 1 / row.double())["mean_recall"] for row in ranks]
    assert mean_recall(ranks).tolist() == pytest.approx(expected)


def test_no_query_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query"):
        retrieval_metrics(torch.tensor([]), torch.tensor([]))
