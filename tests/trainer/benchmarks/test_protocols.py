"""Protocols against scikit-learn on random rankings, against loops where there are ties, and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    average_precision_score,
    label_ranking_average_precision_score,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)
from torch import Tensor

from tests.trainer.cases import random_answers, right_sets
from tests.trainer.reference import ranking
from trainer.benchmarks.circo import circo_figures
from trainer.benchmarks.cirr import cirr_figures
from trainer.benchmarks.fashioniq import fashioniq_figures
from trainer.benchmarks.figures import average_precision_at, figure, hits, precision_at, share_found_at
from trainer.benchmarks.patterncom import patterncom_figures
from trainer.benchmarks.registry import BENCHMARKS
from trainer.benchmarks.types import Ranked
from trainer.retrieval.answers import NONE, Answers, make_answers
from trainer.retrieval.metrics import retrieval_metrics
from trainer.retrieval.ranking import rank_batch

QUERIES, GALLERY = 60, 80


def _random_scores(seed: int, gallery: int = GALLERY) -> Tensor:
    """A random ranking for every query, without ties."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(QUERIES, gallery, generator=generator).argsort(1).float()


def _ranked(answers: Answers, scores: Tensor, name: str = "all", in_set: Tensor | None = None) -> Ranked:
    set_rankings = None
    if in_set is not None:
        first = [0] * len(in_set)  # the target is the first member
        set_rankings = rank_batch(in_set, make_answers(first, [[0]] * len(first), [NONE] * len(first), 5))
    return Ranked(name, answers, rank_batch(scores, answers), set_rankings, [()] * len(answers))


def _count(answers: Answers) -> Tensor:
    return (answers.right != NONE).sum(1)


@pytest.mark.parametrize("seed", range(5))
def test_cirr_is_that_of_scikit_learn(seed: int) -> None:
    answers = random_answers(QUERIES, GALLERY, seed, most_right=1)
    scores, in_set = _random_scores(seed), _random_scores(seed + 100, 5)
    found = cirr_figures([_ranked(answers, scores, in_set=in_set)])
    candidates = scores.masked_fill(answers.removed_mask(), -1.0)  # behind every other image
    for k in (1, 5, 10, 50):
        expected = top_k_accuracy_score(answers.target, candidates, k=k, labels=range(GALLERY))
        assert found[f"R@{k}"] == pytest.approx(100 * expected)
    for k in (1, 2, 3):
        expected = top_k_accuracy_score(np.zeros(QUERIES, int), in_set, k=k, labels=range(5))
        assert found[f"R_subset@{k}"] == pytest.approx(100 * expected)
    assert found["mean"] == pytest.approx((found["R@5"] + found["R_subset@1"]) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_fashioniq_is_that_of_scikit_learn(seed: int) -> None:
    names = ("dress", "shirt", "toptee")
    parts, expected = [], {}
    for place, name in enumerate(names):
        answers = random_answers(QUERIES, GALLERY, 10 * seed + place, most_right=1, removed=False)
        scores = _random_scores(10 * seed + place)
        parts.append(_ranked(answers, scores, name))
        expected[name] = {
            f"R@{k}": 100 * top_k_accuracy_score(answers.target, scores, k=k, labels=range(GALLERY))
            for k in (10, 50)
        }
    found = fashioniq_figures(parts)
    for name in names:
        assert found[name] == pytest.approx(expected[name])
    for k in ("R@10", "R@50"):
        assert found["mean"][k] == pytest.approx(np.mean([expected[name][k] for name in names]))
    assert found["mean"]["mean"] == pytest.approx((found["mean"]["R@10"] + found["mean"]["R@50"]) / 2)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [5, 10, 25, 50, GALLERY])
def test_average_precision_at_k_is_that_of_scikit_learn(seed: int, k: int) -> None:
    """scikit-learn's average precision of the first k alone divides by the hits there; ours by min(k, R)."""
    answers = random_answers(QUERIES, GALLERY, seed, most_right=30, removed=False)
    scores, mask = _random_scores(seed), answers.right_mask()
    first = rank_batch(scores, answers, top=k).top
    found = average_precision_at(hits(first, answers.right), _count(answers), k)
    for q in range(QUERIES):
        order = scores[q].argsort(descending=True)[:k]
        labels, right = mask[q, order].numpy(), int(mask[q].sum())
        within = average_precision_score(labels, scores[q, order]) if labels.any() else 0.0
        assert found[q].item() == pytest.approx(within * labels.sum() / min(k, right))
    if k == GALLERY:  # nothing is cut: the usual average precision
        whole = label_ranking_average_precision_score(mask, scores)
        assert found.mean().item() == pytest.approx(whole)


@pytest.mark.parametrize("seed", range(5))
def test_recall_and_precision_at_k_are_those_of_scikit_learn(seed: int) -> None:
    answers = random_answers(QUERIES, GALLERY, seed, most_right=30, removed=False)
    scores, mask = _random_scores(seed), answers.right_mask()
    hit = hits(rank_batch(scores, answers).top, answers.right)
    for k in (5, 10, 15, 20, 50):
        shown = scores >= GALLERY - k  # the scores are 0 to N - 1
        share, precision = share_found_at(hit, _count(answers), k), precision_at(hit, k)
        for q in range(QUERIES):
            assert share[q].item() == pytest.approx(recall_score(mask[q], shown[q]))
            assert precision[q].item() == pytest.approx(precision_score(mask[q], shown[q]))


@pytest.mark.parametrize("seed", range(5))
def test_the_evaluations_own_metrics_are_those_of_scikit_learn(seed: int) -> None:
    """Several right answers: R@K is a hit if any is found, mAP is over all of them."""
    answers = random_answers(QUERIES, GALLERY, seed, most_right=12, removed=False)
    scores, mask = _random_scores(seed), answers.right_mask()
    rankings = rank_batch(scores, answers)
    found = retrieval_metrics(rankings.rank, rankings.average_precision)
    for k in (1, 5, 10, 50):
        shown = scores >= GALLERY - k
        hit = [recall_score(mask[q], shown[q]) > 0 for q in range(QUERIES)]
        assert found[f"R@{k}"] == pytest.approx(100 * np.mean(hit))
    assert found["mAP"] == pytest.approx(100 * label_ranking_average_precision_score(mask, scores))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("removed", [False, True])
def test_circo_and_patterncom_are_their_formulas_in_loops_whatever_the_ties(seed: int, removed: bool) -> None:
    answers = random_answers(QUERIES, GALLERY, seed, most_right=12, removed=removed)
    scores = (_random_scores(seed) / 9).round()  # ties of nine
    ranked = _ranked(answers, scores)
    circo, patterncom = circo_figures([ranked]), patterncom_figures([ranked])["all"]
    expected: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        expected.setdefault(name, []).append(100 * value)

    for q, right in enumerate(right_sets(answers)):
        order = ranking(scores[q].numpy(), right, int(answers.removed[q]))
        precisions = [
            (len(right.intersection(order[: place + 1])) / (place + 1), place)
            for place, image in enumerate(order)
            if image in right
        ]
        note("mAP", sum(precision for precision, _ in precisions) / len(right))
        for k in (5, 10, 25, 50):
            within = sum(precision for precision, place in precisions if place < k)
            note(f"mAP@{k}", within / min(k, len(right)))
            note(f"target@{k}", float(int(answers.target[q]) in order[:k]))
        for k in (5, 10, 15, 20):
            note(f"R@{k}", len(right.intersection(order[:k])) / len(right))
            note(f"P@{k}", len(right.intersection(order[:k])) / k)
    for k in (5, 10, 25, 50):
        assert circo[f"mAP@{k}"] == pytest.approx(np.mean(expected[f"mAP@{k}"]))
        assert circo[f"R@{k}"] == pytest.approx(np.mean(expected[f"target@{k}"]))
    for name in ("mAP", *(f"{kind}@{k}" for k in (5, 10, 15, 20) for kind in "RP")):
        assert patterncom[name] == pytest.approx(np.mean(expected[name]))


def test_circo_by_hand() -> None:
    """Two right answers at places 1 and 7, the target at 7; and one, which is the target, at 3."""
    answers = make_answers([6, 2], [[0, 6], [2]], [NONE, NONE], 8)
    scores = torch.arange(8, 0, -1).float().repeat(2, 1)
    ranked = Ranked("all", answers, rank_batch(scores, answers), None, [["addition"], ["addition", "view"]])
    found = circo_figures([ranked])
    assert found["mAP@5"] == pytest.approx(100 * (1 / 2 + 1 / 3) / 2)
    assert found["mAP@10"] == pytest.approx(100 * ((1 + 2 / 7) / 2 + 1 / 3) / 2)
    assert (found["R@5"], found["R@10"]) == (50.0, 100.0)
    assert found["semantic_mAP@10"]["view"] == pytest.approx(100 / 3)
    assert found["semantic_mAP@10"]["addition"] == pytest.approx(found["mAP@10"])


def test_more_right_answers_than_places_can_still_be_all_right() -> None:
    hit = torch.ones(1, 5, dtype=torch.bool)
    assert average_precision_at(hit, torch.tensor([20]), 5).item() == 1.0
    assert share_found_at(hit, torch.tensor([20]), 5).item() == 0.25


def test_patterncom_averages_attributes_and_queries() -> None:
    scores = torch.tensor([[4.0, 3, 2, 1]])
    color = make_answers([0], [[0]], [NONE], 4)
    shape = make_answers([1, 3], [[1], [3, 0]], [NONE, NONE], 4)
    found = patterncom_figures(
        [_ranked(color, scores, "color"), _ranked(shape, scores.repeat(2, 1), "shape")]
    )
    assert found["color"]["mAP"] == 100
    assert found["shape"]["mAP"] == pytest.approx(100 * (1 / 2 + (1 + 2 / 4) / 2) / 2)
    assert found["mean"]["mAP"] == pytest.approx((100 + found["shape"]["mAP"]) / 2)
    assert found["all_queries"]["mAP"] == pytest.approx(100 * (1 + 1 / 2 + 3 / 4) / 3)
    assert found["color"]["P@5"] == 20  # four images, five places: the published code divides by five


def test_a_patterncom_query_without_an_answer_counts_as_nothing() -> None:
    right = torch.tensor([[0], [NONE]])
    answers = Answers(right[:, 0], right, torch.tensor([NONE, NONE]), 2)
    found = patterncom_figures([_ranked(answers, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))])["all"]
    assert (found["mAP"], found["R@5"], found["P@5"]) == (50.0, 50.0, 10.0)


def test_hits_know_padding_on_both_sides() -> None:
    first = torch.tensor([[3, 1, NONE], [0, 2, NONE]])
    right = torch.tensor([[1, NONE, NONE], [2, 0, 3]])
    assert hits(first, right).tolist() == [[False, True, False], [True, True, False]]


@pytest.mark.parametrize("layout", BENCHMARKS)
def test_every_named_figure_is_there(layout: str) -> None:
    names = {"fashioniq": ["dress", "shirt", "toptee"], "patterncom": ["color", "context", "density"]}
    names["patterncom"] += ["existence", "quantity", "shape"]
    answers = random_answers(QUERIES, GALLERY, 0, most_right=1)
    parts = [
        _ranked(answers, _random_scores(0), name, _random_scores(1, 5)) for name in names.get(layout, ["all"])
    ]
    protocol = BENCHMARKS[layout]
    found = protocol.figures(parts)
    for name in (protocol.headline, *protocol.columns):
        assert 0 <= figure(found, name) <= 100
