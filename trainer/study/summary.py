"""The figures of a study: means and deviations over seeds, intervals and tests over families."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainer.methods.registry import COMPARATORS
from trainer.retrieval.metrics import MEAN_OF
from trainer.study.jobs import TEST
from trainer.study.plan import Job
from trainer.study.run import Evidence, Found
from trainer.study.significance import bootstrap_interval, paired_p_value

MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
TESTED = ("R@1", "mean_recall")
Values = NDArray[np.float64]  # (Q,), of one measure a query, in percent


@dataclass(frozen=True)
class Standing:
    """A method on one dataset, in percent on the test split.

    Attributes:
        method: of the evaluation.
        text: the text tower, `frozen` or `tuned`.
        jobs: one a seed.
        mean, deviation: measure -> over the seeds; the deviation is None with one seed.
        interval: measure -> 95%, families drawn with replacement, each query's value a mean over the seeds.
        validation: mean recall of the first seed.
    """

    method: str
    text: str
    jobs: tuple[Job, ...]
    mean: dict[str, float]
    deviation: dict[str, float | None]
    interval: dict[str, tuple[float, float]]
    validation: float


@dataclass(frozen=True)
class Lead:
    """What the hybrid is ahead of a comparator, in points of a measure, on one dataset.

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


def seed_values(found: Found, jobs: Sequence[Job], measure: str, view: str = TEST) -> NDArray[np.float64]:
    """(S, Q): of every seed and query."""
    views = [found[job]["views"][view] for job in jobs]
    return np.stack([values(one["rank"], one["average_precision"], measure) for one in views])


def seeds_of(evidence: Evidence, job: Job) -> tuple[Job, ...]:
    """The job with every seed."""

    def seedless(one: Job) -> Job:
        return replace(one, seed=0, keep=False)

    own = (other for other in evidence.results if seedless(other) == seedless(job))
    return tuple(sorted(own, key=lambda other: other.seed))


def standing(evidence: Evidence, job: Job, families: Sequence[str]) -> Standing:
    """The figures of a method over its seeds.

    Args:
        job: one of its seeds.
        families: of the test queries, Q names.
    """
    jobs = seeds_of(evidence, job)
    mean, deviation, interval = {}, {}, {}
    for measure in MEASURES:
        every = seed_values(evidence.results, jobs, measure)  # (S, Q)
        mean[measure] = float(every.mean())
        deviation[measure] = float(every.mean(1).std(ddof=1)) if len(jobs) > 1 else None
        interval[measure] = bootstrap_interval(every.mean(0), families)
    validation = evidence.results[jobs[0]]["validation"]["mean_recall"]
    return Standing(job.method, job.text, jobs, mean, deviation, interval, validation)


def standings(evidence: Evidence, dataset: str, families: Sequence[str]) -> dict[str, list[Standing]]:
    """Every method's figures, by method; of two text towers the one that validation prefers comes first."""
    jobs = [job for job in evidence.results if job.dataset == dataset and not job.setting]
    jobs += [job for job in evidence.best if job.dataset == dataset]
    found: dict[str, list[Standing]] = {}
    for job in jobs:
        found.setdefault(job.method, []).append(standing(evidence, job, families))
    return {method: sorted(both, key=lambda one: -one.validation) for method, both in found.items()}


def leads(
    evidence: Evidence, of: Mapping[str, list[Standing]], families: Sequence[str], measure: str
) -> dict[str, Lead]:
    """What `hybrid` is ahead of every comparator and of its untuned self."""
    hybrid = seed_values(evidence.results, of["hybrid"][0].jobs, measure).mean(0)
    found = {}
    for method in (*COMPARATORS, "hybrid_untuned"):
        other = seed_values(evidence.results, of[method][0].jobs, measure).mean(0)
        ahead = hybrid - other
        found[method] = Lead(
            method,
            float(ahead.mean()),
            bootstrap_interval(ahead, families),
            paired_p_value(ahead, families),
        )
    return found


def strongest(of: Mapping[str, list[Standing]], methods: Sequence[str], measure: str) -> str:
    """The comparator with the highest mean on the test split: the hardest one to be ahead of."""
    return max(methods, key=lambda method: of[method][0].mean[measure])
