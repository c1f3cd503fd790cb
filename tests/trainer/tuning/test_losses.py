import math

import pytest
import torch

from pipeline.base.params import LEARNED_TEMPERATURE
from tests.trainer.cases import random_answers, random_unit, right_sets
from tests.trainer.reference import loss_of
from trainer.retrieval.answers import Answers, make_answers
from trainer.retrieval.gallery import Gallery
from trainer.tuning.losses import (
    Temperature,
    batch_loss,
    contrastive_loss,
    distillation_loss,
    gallery_loss,
    hard_loss,
    hardest,
)

TAU = 0.07


def _expected(queries: torch.Tensor, gallery: torch.Tensor, answers: Answers, columns: set[int]) -> float:
    similarities = (queries.double() @ gallery.double().T).numpy()
    losses = []
    for q, (right, aim, out) in enumerate(
        zip(right_sets(answers), answers.target.tolist(), answers.removed.tolist(), strict=True)
    ):
        left_out = right | {out} | (set(range(len(gallery))) - columns)
        losses.append(loss_of(similarities[q], aim, left_out, TAU))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("removed", [True, False])
def test_gallery_loss_is_the_formula_in_loops(removed: bool) -> None:
    queries, gallery = random_unit(6, 8, 1), random_unit(20, 8, 2)
    answers = random_answers(6, 20, 3, removed=removed)
    expected = _expected(queries, gallery, answers, set(range(20)))
    assert gallery_loss(queries, gallery, answers, TAU).item() == pytest.approx(expected, rel=1e-5)


def test_batch_loss_takes_the_targets_of_the_batch_alone() -> None:
    queries, gallery = random_unit(6, 8, 1), random_unit(9, 8, 2)
    answers = random_answers(6, 9, 5)  # a small gallery: targets coincide, and are others' references
    expected = _expected(queries, gallery, answers, set(answers.target.tolist()))
    assert batch_loss(queries, gallery, answers, TAU).item() == pytest.approx(expected, rel=1e-5)


def test_batch_and_gallery_agree_where_every_image_is_a_target() -> None:
    queries, gallery = random_unit(5, 8, 1), random_unit(5, 8, 2)
    answers = make_answers([3, 0, 4, 1, 2], [[3], [0], [4], [1], [2]], [0, 1, 2, 3, 4], 5)
    assert torch.allclose(
        batch_loss(queries, gallery, answers, TAU), gallery_loss(queries, gallery, answers, TAU)
    )


@pytest.mark.parametrize("chunk", [1, 3, 7, 19])
def test_streamed_loss_and_gradient_are_those_of_the_whole_gallery(chunk: int) -> None:
    gallery, answers = random_unit(20, 8, 2), random_answers(6, 20, 3)
    results = []
    for size in (20, chunk):
        queries = random_unit(6, 8, 1).requires_grad_()
        temperature = Temperature(TAU, learned=True)
        loss = gallery_loss(queries, gallery, answers, temperature(), chunk=size)
        loss.backward()
        results.append((loss.detach(), queries.grad, temperature.logarithm.grad))
    for whole, streamed in zip(*results, strict=True):
        assert torch.allclose(whole, streamed, atol=1e-5)


def test_gradient_is_that_of_finite_differences() -> None:
    queries = random_unit(3, 4, 1).double().requires_grad_()
    gallery, answers = random_unit(7, 4, 2).double(), random_answers(3, 7, 3, most_right=2)
    assert torch.autograd.gradcheck(lambda q: gallery_loss(q, gallery, answers, 0.5), queries)
    assert torch.autograd.gradcheck(lambda q: gallery_loss(q, gallery, answers, 0.5, chunk=2), queries)
    assert torch.autograd.gradcheck(lambda q: batch_loss(q, gallery, answers, 0.5), queries)


def test_equal_similarities_cost_the_logarithm_of_the_candidates() -> None:
    answers = make_answers([0, 1], [[0], [1, 2]], [5, 5], 6)  # 5 candidates, and 4 (one other right answer)
    loss = gallery_loss(torch.zeros(2, 3), random_unit(6, 3, 0), answers, TAU)
    assert loss.item() == pytest.approx((math.log(5) + math.log(4)) / 2)


def test_a_query_without_negatives_costs_nothing() -> None:
    similarities = torch.tensor([[0.3, 0.9]], requires_grad=True)
    loss = contrastive_loss(similarities, torch.tensor([0]), torch.tensor([[False, True]]), TAU)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(similarities.grad, torch.zeros(1, 2))


def test_ignored_images_have_no_gradient() -> None:
    similarities = torch.rand(2, 5, requires_grad=True)
    ignored = torch.tensor([[False, True, False, False, True]] * 2)
    contrastive_loss(similarities, torch.tensor([0, 2]), ignored, TAU).backward()
    assert (similarities.grad[ignored] == 0).all()
    assert (similarities.grad[~ignored] != 0).all()


def test_the_order_of_the_gallery_does_not_matter() -> None:
    queries, gallery, answers = random_unit(4, 6, 1), random_unit(10, 6, 2), random_answers(4, 10, 3)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    place = torch.argsort(order)
    moved = Answers(
        place[answers.target],
        torch.where(answers.right < 0, -1, place[answers.right]),
        place[answers.removed],
        10,
    )
    before = gallery_loss(queries, gallery, answers, TAU)
    assert torch.allclose(before, gallery_loss(queries, gallery[order], moved, TAU), atol=1e-6)


def test_temperature_is_learned_within_bounds_or_fixed() -> None:
    fixed = Temperature(0.005, learned=False)
    assert fixed().item() == pytest.approx(0.005)
    assert not list(fixed.parameters())
    learned = Temperature(0.05, learned=True)
    assert learned().item() == pytest.approx(0.05)
    assert LEARNED_TEMPERATURE == (0.01, 1.0)  # params.yaml is refused outside
    for logarithm, bound in ((-9.0, 0.01), (9.0, 1.0)):
        learned.logarithm.data.fill_(logarithm)
        assert learned().item() == pytest.approx(bound)


@pytest.mark.parametrize("removed", [True, False])
def test_hardest_are_the_wrong_images_of_highest_similarity(removed: bool) -> None:
    queries, gallery = random_unit(7, 8, 1), random_unit(20, 8, 2)
    answers = random_answers(7, 20, 3, removed=removed)
    found = hardest(queries, gallery, answers, 5, chunk=3)
    similarities = (queries @ gallery.T).tolist()
    for q, (right, out) in enumerate(zip(right_sets(answers), answers.removed.tolist(), strict=True)):
        wrong = sorted(set(range(20)) - right - {out}, key=lambda place: -similarities[q][place])
        assert found[q].tolist() == wrong[:5]


def test_hard_loss_with_every_negative_is_the_gallery_loss() -> None:
    queries, gallery = random_unit(7, 8, 1), random_unit(20, 8, 2)
    answers = random_answers(7, 20, 3)
    every = hardest(queries, gallery, answers, 30)
    assert every.shape == (7, 30) and (every == -1).any()
    expected = gallery_loss(queries, gallery, answers, TAU).item()
    assert hard_loss(queries, gallery, answers.target, every, TAU).item() == pytest.approx(expected, rel=1e-5)


def test_hard_loss_takes_the_named_negatives_alone() -> None:
    queries, gallery = random_unit(3, 8, 1), random_unit(20, 8, 2)
    target, negatives = torch.tensor([0, 1, 2]), torch.tensor([[3, 4], [5, -1], [-1, -1]])
    columns = [[0, 3, 4], [1, 5], [2]]
    similarities = (queries @ gallery.T).double() / TAU
    expected = [
        math.log(sum(math.exp(similarities[q, c]) for c in row)) - similarities[q, row[0]].item()
        for q, row in enumerate(columns)
    ]
    loss = hard_loss(queries, gallery, target, negatives, TAU).item()
    assert loss == pytest.approx(sum(expected) / 3, rel=1e-5)


def test_distillation_loss_is_one_minus_the_mean_cosine() -> None:
    one, other = random_unit(5, 8, 1), random_unit(5, 8, 2)
    assert distillation_loss(one, one).item() == pytest.approx(0.0, abs=1e-6)
    assert distillation_loss(one, -one).item() == pytest.approx(2.0)
    cosines = [
        sum(a * b for a, b in zip(x, y, strict=True))
        for x, y in zip(one.tolist(), other.tolist(), strict=True)
    ]
    assert distillation_loss(one, other).item() == pytest.approx(1 - sum(cosines) / 5, rel=1e-5)


def test_a_stored_gallery_gives_the_losses_and_gradients_of_its_copy() -> None:
    stored = Gallery.of(random_unit(90, 8, 2).half())
    answers = random_answers(7, 90, 3)
    negatives = hardest(random_unit(7, 8, 1), stored, answers, 5)
    results = []
    for gallery in (stored, stored[:]):
        queries = random_unit(7, 8, 1).requires_grad_()
        losses = [
            gallery_loss(queries, gallery, answers, TAU, chunk=20),
            batch_loss(queries, gallery, answers, TAU),
            hard_loss(queries, gallery, answers.target, negatives, TAU),
        ]
        torch.stack(losses).sum().backward()
        results.append([*losses, queries.grad, hardest(queries.detach(), gallery, answers, 5)])
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))
    small = gallery_loss(random_unit(7, 8, 1), stored, answers, TAU)  # it is streamed, too
    assert torch.allclose(small, gallery_loss(random_unit(7, 8, 1), stored[:], answers, TAU))
