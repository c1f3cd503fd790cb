"""Means and deviations over seeds, intervals and tests over families, of methods on one dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipeline.base.progress import Progress
from trainer.retrieval.metrics import MEAN_OF
from trainer.study.jobs import TEST
from trainer.study.plan import Job, studied
from trainer.study.run import Evidence, Results
from trainer.study.significance import bootstrap_interval, paired_p_value

MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
TESTED = ("R@1", "mean_recall")
Values = NDArray[np.float64]  # (Q,), of one measure a query, in percent


@dataclass(frozen=True)
class MethodFigures:
    """A method with one text tower on one dataset, in percent on the test split.

    Attributes:
        text_tower: `frozen` or `tuned`.
        jobs: one for each seed.
        mean, deviation: measure -> over the seeds; the deviation is None with one seed.
        interval: measure -> 95%, families drawn with replacement, each query's value a mean over the seeds.
        validation: mean recall of the first seed.
    """

    text_tower: str
    jobs: tuple[Job, ...]
    mean: dict[str, float]
    deviation: dict[str, float | None]
    interval: dict[str, tuple[float, float]]
    validation: float


Compared = Mapping[str, Sequence[MethodFigures]]  # by method, its text towers from the best on validation on


@dataclass(frozen=True)
class Lead:
    """The lead of one of our methods over another one, in points of a measure, on one dataset.

    Attributes:
        interval: 95%, families drawn with replacement.
        p: two-sided, by random sign flips of families.
    """

    over: str
    difference: float
    interval: tuple[float, float]
    p: float


def values(ranks: Sequence[int], precision: Sequence[float], measure: str) -> Values:
    """The measure of every query, in percent."""
    rank = np.asarray(ranks)
    if measure == "mAP":
        return 100 * np.asarray(precision, dtype=np.float64)
    levels = MEAN_OF if measure == "mean_recall" else (int(measure.removeprefix("R@")),)
    return 100 * np.mean([rank <= level for level in levels], axis=0)


def method_figures(evidence: Evidence, job: Job, families: Sequence[str]) -> MethodFigures:
    """The figures of a method over its seeds.

    Args:
        job: one of its seeds.
        families: of the test queries, Q names.
    """
    jobs = _seeds(evidence.results, job)
    mean, deviation, interval = {}, {}, {}
    for measure in MEASURES:
        by_seed = _seed_values(evidence.results, jobs, measure)  # (S, Q)
        mean[measure] = float(by_seed.mean())
        deviation[measure] = float(by_seed.mean(1).std(ddof=1)) if len(jobs) > 1 else None
        interval[measure] = bootstrap_interval(by_seed.mean(0), families)
    validation = evidence.results[jobs[0]]["validation"]["mean_recall"]
    return MethodFigures(job.text_tower, jobs, mean, deviation, interval, validation)


def compare(evidence: Evidence, dataset: str, families: Sequence[str]) -> dict[str, list[MethodFigures]]:
    """Every method's figures, in the evaluation's order; the text tower that validation prefers is first."""
    jobs = [job for job in evidence.results if job.dataset == dataset]
    jobs = [job for job in jobs if not job.hyperparameters or job in evidence.best]
    bar = Progress(jobs, title=f"intervals of {dataset}", unit="method")
    figures = [method_figures(evidence, job, families) for job in bar]
    figures.sort(key=lambda tower: -tower.validation)
    return {method: [tower for tower in figures if tower.jobs[0].method == method] for method in studied()}


def leads(
    evidence: Evidence, compared: Compared, families: Sequence[str], measure: str, ours: str = "hybrid"
) -> dict[str, Lead]:
    """The lead of `ours` over every other method, each with the text tower that validation prefers."""
    best = {
        method: _seed_values(evidence.results, towers[0].jobs, measure).mean(0)
        for method, towers in compared.items()
    }
    ahead = {method: best[ours] - other for method, other in best.items() if method != ours}
    return {
        method: Lead(
            method,
            float(points.mean()),
            bootstrap_interval(points, families),
            paired_p_value(points, families),
        )
        for method, points in ahead.items()
    }


def recall_by(evidence: Evidence, jobs: Sequence[Job], of: Sequence[str]) -> dict[str, float]:
    """R@1 in percent of each group of test queries, a mean over the seeds.

    Args:
        of: the group of each test query, Q names.
    """
    recall = _seed_values(evidence.results, jobs, "R@1").mean(0)
    return dict(
        pl.DataFrame({"group": of, "recall": recall}).group_by("group").mean().sort("group").iter_rows()
    )


def strongest(compared: Compared, methods: Sequence[str], measure: str) -> str:
    """The method with the highest mean on the test split: the hardest one to be ahead of."""
    return max(methods, key=lambda method: compared[method][0].mean[measure])


def _seed_values(results: Results, jobs: Sequence[Job], measure: str) -> NDArray[np.float64]:
    """(S, Q): of every seed and query."""
    views = [results[job]["views"][TEST] for job in jobs]
    return np.stack([values(view["rank"], view["average_precision"], measure) for view in views])


def _seeds(results: Results, job: Job) -> tuple[Job, ...]:
    """The job with every seed."""

    def seedless(other: Job) -> Job:
        return replace(other, seed=0, keep=False)

    return tuple(sorted((o for o in results if seedless(o) == seedless(job)), key=lambda other: other.seed))
