"""Runs one job of a study: trains what is trained, chooses on validation, ranks the test split."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pipeline.base.params import Params
from trainer.methods.registry import (
    MIXED,
    NETWORKS,
    FrozenFeatures,
    mixed_scores,
    network_scores,
    plain_scores,
    train_network,
)
from trainer.retrieval.answers import Answers, index_mask
from trainer.retrieval.fusion import choose_share, fusion_scores
from trainer.retrieval.metrics import retrieval_metrics, score_metrics
from trainer.retrieval.ranking import Rankings, Scores, dot_scores, rank_all
from trainer.retrieval.splits import Split
from trainer.study.data import StudyData, copy_text_state, put_back
from trainer.study.plan import Job, Setting
from trainer.tuning.heads import FusionHead, Head, HybridHead
from trainer.tuning.loop import Tuning

Result = dict[str, Any]  # what a job found, as JSON can hold it
Views = dict[str, dict[str, list[Any]]]  # name -> rank and average_precision, Q values each
TEST = "test"

_OF_HEAD = ("terms", "signed")  # options of the hybrid similarity; others are parameters of `tune`
# the text that stands beside the image in a weighted sum, by the method whose text tower is tuned as that sum
_FUSED = {name: part for name, (mix, part) in MIXED.items() if mix is fusion_scores}
_FUSED |= {name: part for name, (_, part) in NETWORKS.items()}


def run_job(job: Job, data: StudyData, params: Params) -> tuple[Result, dict[str, Tensor] | None]:
    """Run a job; the model's text tower is as it was afterwards.

    Returns:
        `validation` and `test` metrics in percent, `views` (the ranks on the test split, and without each
        kind of trap), what was `chosen`, `seconds`; and the tuned text tower where the job keeps it.
    """
    start = time.perf_counter()
    before = copy_text_state(data.vlm.model) if job.tower else None
    kept = None
    try:
        if job.tower:
            scores, result = _tuned(job, job.tower, data, params)
            kept = copy_text_state(data.vlm.model) if job.keep else None
        elif job.network:
            scores, result = _network(job, job.network, data.frozen, data, params)
        else:
            scores, result = _untrained(job, data, params)
        result["views"] = test_views(scores, data)
    finally:
        if before is not None:
            put_back(data.vlm.model, before)
    result["test"] = metrics_of(result["views"][TEST])
    result["seconds"] = round(time.perf_counter() - start, 3)
    return result, kept


def test_views(scores: Scores, data: StudyData) -> Views:
    """The ranks on the test split, and with each kind of trap taken out of the gallery."""
    answers = data.splits["test"].answers
    views = {TEST: view(rank_all(scores, answers, top=1))}
    for name, places in data.traps.items():
        views[f"without {name}"] = view(rank_all(_without(scores, places, answers), answers, top=1))
    return views


def view(rankings: Rankings) -> dict[str, list[Any]]:
    """Rank and average precision of every query."""
    precision = [round(value, 6) for value in rankings.average_precision.tolist()]
    return {"rank": rankings.rank.tolist(), "average_precision": precision}


def metrics_of(view: dict[str, list[Any]]) -> dict[str, float]:
    """Retrieval metrics in percent."""
    return retrieval_metrics(torch.tensor(view["rank"]), torch.tensor(view["average_precision"]))


def _without(scores: Scores, places: Tensor, answers: Answers) -> Scores:
    """The scores with the images at `places` (Q, T) below all others."""

    def masked(start: int, stop: int) -> Tensor:
        own = scores(start, stop)
        out = index_mask(places[start:stop].to(own.device), answers.gallery_size)
        return own.masked_fill(out, -torch.inf)

    return masked


def _untrained(job: Job, data: StudyData, params: Params) -> tuple[Scores, Result]:
    if job.method == "hybrid_untuned":
        head = HybridHead(params.method)
        scores = head_scores(head, data, params)
        chosen = choose(head, data, params)
        return scores("test", chosen), _result(scores("val", chosen), data, chosen)
    validation, test = data.frozen["val"], data.frozen["test"]
    if job.method in MIXED:
        share = choose_share(partial(mixed_scores, job.method, validation), validation.split.answers)
        at_best = mixed_scores(job.method, validation, share)
        return mixed_scores(job.method, test, share), _result(at_best, data, {"share": share})
    plain = partial(plain_scores, job.method, seed=job.seed)
    return plain(test), _result(plain(validation), data, {})


def _network(
    job: Job, setting: Setting, features: Mapping[str, FrozenFeatures], data: StudyData, params: Params
) -> tuple[Scores, Result]:
    own = params.comparators.model_copy(update=asdict(setting))
    module = train_network(job.method, features["train"], features["val"], own, job.seed)
    test, validation = (network_scores(job.method, module, features[name]) for name in ("test", "val"))
    return test, _result(validation, data, {})


def _tuned(job: Job, setting: Setting, data: StudyData, params: Params) -> tuple[Scores, Result]:
    options = dict(job.options)
    head = _head(job, params, {name: options.pop(name) for name in _OF_HEAD if name in options})
    result = Tuning(
        data.vlm.model,
        data.splits["train"],
        data.splits["val"],
        data.texts,
        head,
        params.tune.model_copy(update=asdict(setting) | options),
        seed=job.seed,
        batch=params.speed.encode_batch,
    ).run()
    epochs = {"best_epoch": result.best_epoch, "epochs": len(result.history) - 1}
    if job.network:
        tuned = {
            name: FrozenFeatures(split, encoded(split, head, data, params))
            for name, split in data.splits.items()
        }
        scores, found = _network(job, job.network, tuned, data, params)
        return scores, found | epochs
    found = {"validation": result.metrics, "chosen": result.chosen}
    return head_scores(head, data, params)("test", result.chosen), found | epochs


def _head(job: Job, params: Params, options: dict[str, Any]) -> Head:
    """What the text tower is tuned as: for a network, which is trained on its features afterwards, a sum."""
    if job.method in _FUSED:
        return FusionHead(_FUSED[job.method])
    return HybridHead(params.method, **options)


def head_scores(head: Head, data: StudyData, params: Params) -> Callable[[str, dict[str, Any]], Scores]:
    """Scores of a split with the model as it is now, given what was chosen."""

    @torch.no_grad()
    def scores(name: str, chosen: dict[str, Any]) -> Scores:
        split = data.splits[name]
        text = encoded(split, head, data, params)
        return dot_scores(head.eval().queries(split.image, text, chosen), split.gallery)

    return scores


def encoded(split: Split, head: Head, data: StudyData, params: Params) -> dict[str, Tensor]:
    """Features of the texts that a head reads, by the model as it is now."""
    return split.encode(data.vlm.model, data.texts, params.speed.encode_batch, head.inputs)


def choose(head: Head, data: StudyData, params: Params) -> dict[str, Any]:
    """What the head chooses on validation with the model as it is now."""
    split = data.splits["val"]
    return head.choose(split.image, encoded(split, head, data, params), split.gallery, split.answers)


def _result(validation: Scores, data: StudyData, chosen: dict[str, Any]) -> Result:
    return {"validation": score_metrics(validation, data.splits["val"].answers), "chosen": chosen}
