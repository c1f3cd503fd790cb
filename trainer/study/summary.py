"""Means and deviations over seeds, intervals and tests over families, of every method."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from pipeline.base.progress import Progress
from trainer.retrieval.metrics import MEAN_OF
from trainer.study.jobs import TEST
from trainer.study.plan import CURVES, LEARNING, Job, studied
from trainer.study.run import Evidence, Results, preferred_towers
from trainer.study.significance import bootstrap_interval, paired_p_value
from trainer.study.tidy import UNTUNED, VALIDATION, in_order

MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
TESTED = ("R@1", "mean_recall")
ALL_QUERIES = "all training queries"
PREFERRED = pl.col("text_tower") == pl.col("text_tower").first().over("dataset", "method")  # see `compare`
Values = NDArray[np.float64]  # (Q,), of one measure a query, in percent


def values(ranks: Sequence[int], precision: Sequence[float], measure: str) -> Values:
    """The measure of every query, in percent."""
    rank = np.asarray(ranks)
    if measure == "mAP":
        return 100 * np.asarray(precision, dtype=np.float64)
    levels = MEAN_OF if measure == "mean_recall" else (int(measure.removeprefix("R@")),)
    return 100 * np.mean([rank <= level for level in levels], axis=0)


def compare(evidence: Evidence, families: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Every method with each of its text towers, in percent on the test split.

    Args:
        families: of the test queries of each dataset, Q names.

    Returns:
        A row for each dataset, method (in the evaluation's order), `text_tower` (the one that validation
        prefers is first) and measure. `learning_rate`, `temperature` and `validation mean_recall` are of the
        first of the `seeds`. `queries`: Q values, each a mean over the seeds. `value` is the mean of them,
        `deviation` over the seeds, null with one; `low` and `high` as of `_interval`.
    """
    jobs = [job for job in evidence.results if not job.hyperparameters or job in evidence.best]
    bar = Progress(jobs, title="intervals", unit="method")
    rows = [row for job in bar for row in _over_seeds(evidence.results, job, families[job.dataset], MEASURES)]
    figures = pl.DataFrame(rows, infer_schema_length=None)
    figures = figures.sort(VALIDATION, descending=True, maintain_order=True)
    return in_order(figures, dataset=families, method=studied())


def _over_seeds(
    results: Results, job: Job, families: Sequence[str], measures: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of a method with a text tower, of which the job is one seed."""
    jobs, chosen = _seeds(results, job), job.hyperparameters
    tower = {
        "dataset": job.dataset,
        "method": job.method,
        "text_tower": job.text_tower,
        "learning_rate": chosen and chosen.learning_rate,
        "temperature": chosen and chosen.temperature,
        VALIDATION: results[jobs[0]]["validation"]["mean_recall"],
        "seeds": len(jobs),
    }
    views = [results[job]["views"][TEST] for job in jobs]
    for measure in measures:
        by_seed = np.stack([values(view["rank"], view["average_precision"], measure) for view in views])
        deviation = by_seed.mean(1).std(ddof=1) if len(jobs) > 1 else None
        figures = {"measure": measure, "value": by_seed.mean(), "deviation": deviation}
        queries = by_seed.mean(0)
        yield {**tower, **figures, **_interval(queries, families), "queries": queries.tolist()}


def by_training_queries(evidence: Evidence, families: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The methods of `CURVES` by the number of queries that they are trained on, and the hybrid untuned.

    Args:
        families: of the test queries of each dataset.

    Returns:
        The columns of `compare` and `variant`, for the measures of `TESTED`. Each method has the text tower
        that validation prefers with all queries, of those that were trained.
    """
    whole = [job for job in preferred_towers(evidence.best, evidence.results) if job.method in CURVES]
    untuned = [job for job in evidence.results if job.method == "hybrid_untuned"]
    jobs = evidence.fewer | dict.fromkeys(whole, ALL_QUERIES) | dict.fromkeys(untuned, UNTUNED)
    rows = [
        {**row, "variant": variant, "method": "hybrid" if variant == UNTUNED else row["method"]}
        for job, variant in Progress(jobs.items(), title="curves", unit="point")
        for row in _over_seeds(evidence.results, job, families[job.dataset], TESTED)
    ]
    variants = [UNTUNED, *LEARNING, ALL_QUERIES]
    figures = pl.DataFrame(rows, infer_schema_length=None)
    return in_order(figures, method=CURVES, variant=variants, measure=TESTED, dataset=families)


def leads_by_training_queries(curves: pl.DataFrame, families: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The lead of the hybrid over each other method, by the number of queries that both are trained on.

    Args:
        curves: of `by_training_queries`.

    Returns:
        The columns of `leads` and `variant`.
    """
    trained = curves.filter(pl.col("variant") != UNTUNED).partition_by("variant", as_dict=True)
    ahead = [
        leads(of, families, ["hybrid"]).with_columns(variant=pl.lit(variant))
        for (variant,), of in trained.items()
    ]
    frame = pl.concat(ahead) if ahead else curves.clear()
    return in_order(frame, method=CURVES, variant=[*LEARNING, ALL_QUERIES], measure=TESTED, dataset=families)


def leads(compared: pl.DataFrame, families: Mapping[str, Sequence[str]], ours: Sequence[str]) -> pl.DataFrame:
    """The lead of each of `ours` over every other method, each with the text tower that validation prefers.

    Args:
        compared: the rows of `compare`.
        families: of the test queries of each dataset.

    Returns:
        A row for each of `ours`, measure of `TESTED`, dataset and other `method`, in this order. `value`:
        points; `low`, `high`: as of `_interval`; `p`: two-sided, by random sign flips of families; `mean`:
        of the other method.
    """
    best = compared.filter(PREFERRED).select("dataset", "method", "measure", "queries", mean="value")
    own = in_order(best, method=ours, measure=TESTED)
    own = own.select("dataset", "measure", ours="method", own="queries")
    pairs = own.join(best, on=["dataset", "measure"], maintain_order="left_right")
    pairs = pairs.filter(pl.col("ours") != pl.col("method"))
    tests = []
    for pair in Progress(pairs.rows(named=True), title="leads", unit="lead"):
        points, of = np.subtract(pair["own"], pair["queries"]), families[pair["dataset"]]
        tests.append({"value": points.mean(), "p": paired_p_value(points, of), **_interval(points, of)})
    return pairs.drop("own", "queries").hstack(pl.DataFrame(tests))


def _interval(of_queries: ArrayLike, families: Sequence[str]) -> dict[str, float]:
    """95%, families drawn with replacement."""
    return dict(zip(("low", "high"), bootstrap_interval(of_queries, families), strict=True))


def _seeds(results: Results, job: Job) -> list[Job]:
    """The job with every seed."""

    def seedless(other: Job) -> Job:
        return replace(other, seed=0, keep=False)

    return sorted((o for o in results if seedless(o) == seedless(job)), key=lambda other: other.seed)
