import pytest
import torch

from tests.trainer.cases import random_answers, random_features, random_unit
from trainer.retrieval.answers import Answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, choose, evaluate_choice
from trainer.study import few_queries
from trainer.study.few_queries import DRAWS, FIXED, WAYS, measure_choices


def _split(queries: int, gallery: torch.Tensor, answers: Answers, reference: torch.Tensor) -> Split:
    no_names, images = [""] * queries, [""] * len(gallery)
    return Split(no_names, no_names, images, Gallery.of(gallery), reference, answers, {}, 0)


def test_every_way_is_measured_on_the_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_queries, "SIZES", (6, 12, 99))
    known, tested = random_features(12, 8, 1), random_features(20, 8, 2)
    gallery = random_unit(30, 8, 3)
    splits = [
        _split(n, gallery, random_answers(n, 30, seed), torch.zeros(n, dtype=torch.int64))
        for n, seed in ((12, 4), (20, 5))
    ]
    fixed = Choice((0.2, 0.3, 0.5), (0.5, 0.5, 0.0))
    results = measure_choices(splits[0], known, splits[1], tested, fixed)
    assert results.keys() == {*WAYS, FIXED}
    assert all(by_size.keys() == {"6", "12"} for by_size in results.values())
    by_hand = evaluate_choice(tested, gallery, splits[1].answers, fixed)
    assert results[FIXED]["6"] == {name: by_hand[name] for name in ("R@1", "mean_recall")}
    whole = evaluate_choice(tested, gallery, splits[1].answers, choose(known, gallery, splits[0].answers))
    way = next(name for name, how in WAYS.items() if how is choose)
    assert results[way]["12"]["R@1"] == pytest.approx(whole["R@1"])  # all five draws are the whole
    assert DRAWS == 5
