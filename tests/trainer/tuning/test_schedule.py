import pytest
import torch

from trainer.tuning.schedule import epoch_batches, learning_rate


def test_warm_up_rises_to_the_peak_and_the_cosine_falls_to_zero() -> None:
    rates = [learning_rate(step, 100, 2.0, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.01


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_extreme_warm_ups(warmup: float) -> None:
    rates = [learning_rate(step, 4, 1.0, warmup) for step in range(4)]
    assert max(rates) == 1.0
    assert min(rates) > 0


def test_an_epoch_holds_every_query_once_in_an_order_of_its_own() -> None:
    first, again, second = (epoch_batches(torch.arange(50), 8, 3, epoch) for epoch in (1, 1, 2))
    assert sorted(torch.cat(first).tolist()) == list(range(50))
    assert torch.equal(torch.cat(first), torch.cat(again))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    assert [len(batch) for batch in first] == [8] * 6 + [2]


def test_no_batch_of_one() -> None:
    assert [len(batch) for batch in epoch_batches(torch.arange(17), 8, 0, 1)] == [8, 9]
    assert [len(batch) for batch in epoch_batches(torch.arange(1), 8, 0, 1)] == [1]


def test_queries_of_one_label_follow_one_another() -> None:
    labels = torch.arange(60) % 20
    first, second = (torch.cat(epoch_batches(labels, 6, 0, epoch)) for epoch in (1, 2))
    assert sorted(first.tolist()) == list(range(60))
    for order in (first, second):
        assert all(len(labels[three].unique()) == 1 for three in order.split(3))
    assert not torch.equal(labels[first], labels[second])
