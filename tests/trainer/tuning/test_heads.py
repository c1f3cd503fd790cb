from collections.abc import Callable

import pytest
import torch

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import load_vlm
from tests.trainer.tuning.test_loop import run
from trainer.retrieval.metrics import retrieval_metrics
from trainer.retrieval.ranking import dot_scores, rank_all
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.retrieval.splits import load_splits
from trainer.tuning.heads import FusionHead, Head, HybridHead

MakeParams = Callable[..., Params]
MakeHead = Callable[[Params], Head]
HEADS: dict[str, MakeHead] = {
    "triplet": lambda params: HybridHead(params.method, ("triplet",)),
    "language": lambda params: HybridHead(params.method, ("language",)),
    "two terms": lambda params: HybridHead(params.method, ("triplet", "pseudo_caption")),
    "fusion": lambda params: FusionHead("text"),
}


@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_and_keeps_its_best_epoch(
    project: Paths, make_params: MakeParams, name: str
) -> None:
    params = make_params(tune={"epochs": 8, "patience": 8})
    torch.manual_seed(0)
    head = HEADS[name](params)
    result, state = run(project, params, head=head)
    assert result.metrics["mean_recall"] > result.untuned_metrics["mean_recall"]
    vlm = load_vlm(params.vlm, "cpu")
    vlm.model.load_state_dict(state)
    split = load_splits(
        Expected(params, project), "tiny", read_features(project.features("tiny")), ("val",), True
    )["val"]
    text = split.encode(vlm.model, Texts.of(vlm, split.all_texts()), 256, head.inputs)
    with torch.no_grad():
        query = head.eval().queries(split.image, text, result.chosen)
    found = rank_all(dot_scores(query, split.gallery), split.answers, top=1)
    assert retrieval_metrics(found.rank, found.average_precision) == pytest.approx(result.metrics)


@pytest.mark.parametrize("terms", [("triplet",), ("language",), ("triplet", "pseudo_caption")])
def test_a_term_that_takes_no_part_is_never_read(
    project: Paths, make_params: MakeParams, terms: tuple[str, ...]
) -> None:
    params = make_params(tune={"epochs": 1})
    head = HybridHead(params.method, terms)
    unread = set(TEXT_INPUTS) - set(head.inputs)
    result, _ = run(project, params, head=head)
    for chosen in (result.chosen, result.untuned, result.training):
        assert {term for term, weight in chosen["weights"].items() if weight} <= set(terms)
    assert unread and not unread & set(head.inputs)


def test_distilling_keeps_the_features(project: Paths, make_params: MakeParams) -> None:
    def moved(distill: float) -> float:
        params = make_params(tune={"epochs": 3, "distill": distill, "patience": 3})
        before = load_vlm(params.vlm, "cpu").model.state_dict()
        _, after = run(project, params)
        return sum(float((after[name] - before[name]).float().norm()) for name in before)

    assert moved(100.0) < moved(0.0)


def test_hard_negatives_learn(project: Paths, make_params: MakeParams) -> None:
    result, _ = run(project, make_params(tune={"hard_negatives": 8, "epochs": 12, "patience": 12}))
    assert result.metrics["mean_recall"] > result.untuned_metrics["mean_recall"] + 5
