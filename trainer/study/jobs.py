"""Runs jobs of a study: trains what is trained, chooses on validation, ranks the test split."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.base.params import Params
from trainer.methods import registry
from trainer.methods.recipes import HYBRID_QUERY, FitData, FrozenFeatures
from trainer.retrieval.answers import Answers, index_mask
from trainer.retrieval.metrics import retrieval_metrics, score_metrics
from trainer.retrieval.ranking import Scores, dot_scores, rank_all
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.study.data import StudyData, copy_text_state, text_tower_put_back
from trainer.study.plan import TEXTS, TRAIN_QUERIES, Job
from trainer.tuning.heads import Head, HybridHead
from trainer.tuning.loop import Tuning
from trainer.tuning.result import TuneResult

Result = dict[str, Any]  # the results of a job, as JSON can hold them
Views = dict[str, dict[str, list[Any]]]  # name -> rank and average_precision, Q values each
TEST = "test"

Outcome = tuple[Result, dict[str, Tensor] | None]  # results, and the tuned text tower where the job keeps it
_HEAD_OPTIONS = ("terms", "signed")  # of the hybrid similarity; most others are parameters of `tune`


@dataclass(frozen=True)
class _Tower:
    """A text tower that was tuned, and is that of the model as long as its jobs run."""

    head: Head
    run: TuneResult


def run_job(job: Job, data: StudyData, params: Params) -> Outcome:
    """Run a job; afterwards the model's text tower is as it was before."""
    (outcome,) = run_jobs([job], data, params)
    return outcome


def run_jobs(jobs: Sequence[Job], data: StudyData, params: Params) -> Iterator[Outcome]:
    """Run jobs of the same text tower (`same_tower`): it is tuned once, which counts for the first of them.

    The model's text tower is that of the jobs until the last one is done, then as it was before.

    Yields:
        Of each job `validation` and `test` metrics in percent, `views` (the ranks on the test split, and
        without each kind of trap), what was `chosen`, `seconds`; and the tower where the job keeps it.
    """
    start = time.perf_counter()
    if worse := dict(jobs[0].options).get(TEXTS):
        fault, share = worse
        data = data.with_worse_texts(fault, share, jobs[0].seed)
    with text_tower_put_back(data.vlm.model):
        tower = None
        if jobs[0].tower:
            tower = _tune(jobs[0], data, params)
            read = {name for job in jobs if job.network for name in registry.named(job.method).inputs}
            features = data.features(TEXT_INPUTS if HYBRID_QUERY in read else read)
        else:
            features = data.frozen
        if rows := _drawn(jobs[0], data):
            features = {**features, "train": _part(features["train"], rows)}
        for job in jobs:
            scores, result = _measure(job, tower, features, data, params)
            result["views"] = test_views(scores, data)
            result["test"] = metrics_of(result["views"][TEST])
            result["seconds"] = round(time.perf_counter() - start, 3)
            yield result, copy_text_state(data.vlm.model) if job.keep else None
            start = time.perf_counter()


def test_views(scores: Scores, data: StudyData) -> Views:
    """Ranks and average precision on the test split, and with each kind of trap taken out of the gallery."""
    answers = data.splits["test"].answers
    views = {TEST: scores}
    views |= {f"without {name}": _without(scores, traps, answers) for name, traps in data.traps.items()}
    ranked = {name: rank_all(view, answers, top=1) for name, view in views.items()}
    return {
        name: {
            "rank": rankings.rank.tolist(),
            "average_precision": [round(value, 6) for value in rankings.average_precision.tolist()],
        }
        for name, rankings in ranked.items()
    }


def metrics_of(view: dict[str, list[Any]]) -> dict[str, float]:
    """Retrieval metrics in percent."""
    return retrieval_metrics(torch.tensor(view["rank"]), torch.tensor(view["average_precision"]))


def _without(scores: Scores, indices: Tensor, answers: Answers) -> Scores:
    """The scores with the images at `indices` (Q, T) below all others."""

    def masked(start: int, stop: int) -> Tensor:
        own = scores(start, stop)
        out = index_mask(indices[start:stop].to(own.device), answers.gallery_size)
        return own.masked_fill(out, -torch.inf)

    return masked


def _tune(job: Job, data: StudyData, params: Params) -> _Tower:
    options = dict(job.options) | (asdict(job.tower) if job.tower else {})
    for name in (TEXTS, TRAIN_QUERIES):
        options.pop(name, None)
    rows, train = _drawn(job, data), data.splits["train"]
    train = train.part(rows) if rows else train
    method = registry.named(job.method)
    head: Head
    if method.tower_texts:
        head = method.tower_head()
    else:
        of_head = {name: options.pop(name) for name in _HEAD_OPTIONS if name in options}
        head = HybridHead(params.method, **of_head)
    tuning = Tuning(
        data.vlm.model,
        train,
        data.splits["val"],
        data.texts,
        head,
        params.tune.model_copy(update=options),
        seed=job.seed,
        batch=data.batch,
    )
    return _Tower(head, tuning.run())


def _drawn(job: Job, data: StudyData) -> list[int] | None:
    """Rows of the queries that a job learns from, drawn by its seed; None for all of the train split."""
    wanted, queries = dict(job.options).get(TRAIN_QUERIES), len(data.splits["train"])
    if wanted is None or wanted >= queries:
        return None
    return sorted(random.Random(job.seed).sample(range(queries), wanted))


def _part(features: FrozenFeatures, rows: Sequence[int]) -> FrozenFeatures:
    """Some of the queries, with the whole gallery."""
    which = torch.as_tensor(rows, device=features.split.reference.device)
    text = {name: values[which] for name, values in features.text.items()}
    graphs = None if features.graphs is None else features.graphs[which]
    return FrozenFeatures(features.split.part(rows), text, graphs)


def _measure(
    job: Job, tower: _Tower | None, features: Mapping[str, FrozenFeatures], data: StudyData, params: Params
) -> tuple[Scores, Result]:
    """Scores of the test split, and what validation gives."""
    method, epochs = registry.named(job.method), {}
    if tower:
        epochs = {"best_epoch": tower.run.best_epoch, "epochs": len(tower.run.history) - 1}
    if tower and not job.network:
        result = {"validation": tower.run.metrics, "chosen": tower.run.chosen}
        return head_scores(tower.head, data, tower.run.chosen, "test"), result | epochs
    if method.recipe:
        own = params.comparators.model_copy(update=asdict(job.network) if job.network else {})
        if HYBRID_QUERY in method.inputs:
            features = _with_hybrid(features, tower, data, params)
        fitted = method.recipe.fit(method.inputs, FitData(features["train"], features["val"], own, job.seed))
        result = _result(fitted.scores(features["val"]), data, fitted.chosen)
        return fitted.scores(features["test"]), result | epochs
    head = HybridHead(params.method)
    chosen = choose(head, data)
    result = _result(head_scores(head, data, chosen, "val"), data, chosen)
    return head_scores(head, data, chosen, "test"), result


@torch.no_grad()
def _with_hybrid(
    features: Mapping[str, FrozenFeatures], tower: _Tower | None, data: StudyData, params: Params
) -> dict[str, FrozenFeatures]:
    """The features beside the query vectors of the hybrid similarity, with what validation chose for it."""
    head = tower.head if tower else HybridHead(params.method)
    chosen = tower.run.chosen if tower else choose(head, data)
    return {
        name: replace(of, text=of.text | {HYBRID_QUERY: _unit_queries(head, of, chosen)})
        for name, of in features.items()
    }


def _unit_queries(head: Head, features: FrozenFeatures, chosen: dict[str, Any]) -> Tensor:
    return normalize(head.eval().queries(features.split.image, features.text, chosen), dim=-1)


@torch.no_grad()
def head_scores(head: Head, data: StudyData, chosen: dict[str, Any], split: str) -> Scores:
    """Scores of a split by the model as it is now, with what was chosen."""
    image, gallery = data.splits[split].image, data.splits[split].gallery
    return dot_scores(head.eval().queries(image, data.encode(split, head.inputs), chosen), gallery)


def choose(head: Head, data: StudyData) -> dict[str, Any]:
    """What the head chooses on validation with the model as it is now."""
    split = data.splits["val"]
    return head.choose(split.image, data.encode("val", head.inputs), split.gallery, split.answers)


def _result(validation: Scores, data: StudyData, chosen: dict[str, Any]) -> Result:
    return {"validation": score_metrics(validation, data.splits["val"].answers), "chosen": chosen}
