"""All figures of a study as one long table, from which every page is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from statistics import fmean
from typing import Any

import polars as pl

from pipeline.base.progress import Progress
from trainer.methods import registry
from trainer.methods.registry import Family
from trainer.study.columns import KEY, SCHEMA
from trainer.study.jobs import TEST, metrics_of
from trainer.study.plan import ABLATIONS, BEYOND, FROZEN, LEARNING, QUALITY, TUNED, Job
from trainer.study.run import Evidence
from trainer.study.summary import TESTED, Compared, Lead, compare, leads, recall_by, strongest
from trainer.study.traps import TRAPS

CLAIMS = {
    Family.NO_LANGUAGE_MODEL: "best without LLM text",
    Family.SCENE_GRAPH: "best with the graph itself",
    Family.SAME_TEXTS: "best with the same LLM text",
}
LEADS = {  # the tables of what each of our methods is ahead
    "hybrid": ("claim", "leads"),
    "hybrid_combiner": ("claim of the combiner", "leads of the combiner"),
}
UNTUNED, WHOLE_GALLERY, MEAN = "untuned", "whole gallery", "mean"
ALL_QUERIES = "all training queries"
AS_WRITTEN = "as the language model wrote them"
VALIDATION = "validation mean_recall"
COST = {  # measure -> key of the results; seconds, but for the counts
    "queries a step": "queries",
    "distinct images": "images",
    "vision fixed": "fixed",
    "vision trained too": "trained",
}
Row = dict[str, Any]
Metrics = dict[str, float]


def study_figures(
    evidence: Evidence, families: Mapping[str, Sequence[str]], kinds: Mapping[str, Sequence[str]]
) -> pl.DataFrame:
    """One row for each figure, in percent on the test split unless its measure says otherwise.

    Args:
        families, kinds: of the test queries of each dataset.

    Returns:
        The columns of `SCHEMA`. Those of `KEY` are never null and tell every row apart; `dataset` may be
        `mean`, over all; `variant` is what the row's table compares; `change`: against the hybrid, in points.
    """
    compared = {dataset: compare(evidence, dataset, names) for dataset, names in families.items()}
    rows = [*lead_rows(evidence, compared, families), *_methods(compared), *_ablations(evidence)]
    rows += [*_kinds(evidence, compared, kinds), *_learning(evidence), *_quality(evidence), *_terms(evidence)]
    rows += [*_few_queries(evidence), *_traps(evidence, compared)]
    rows += [*_transfer(evidence), *_beyond(evidence)]
    costs = evidence.cost.items()
    rows += [_row("cost", dataset, name, cost[key]) for dataset, cost in costs for name, key in COST.items()]
    return pl.DataFrame(rows, schema=SCHEMA).with_columns(pl.col(KEY).fill_null(""))


def _row(table: str, dataset: str, measure: str, value: float, **others: Any) -> Row:
    return {"table": table, "dataset": dataset, "measure": measure, "value": value, **others}


def lead_rows(
    evidence: Evidence, compared: Mapping[str, Compared], families: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    """The lead of ours over each method and, as a claim, over the strongest method of each family."""
    rivals = {
        label: [method.name for method, _ in registry.comparators() if method.family is family]
        for family, label in CLAIMS.items()
    }
    rivals["hybrid, untuned"] = ["hybrid_untuned"]
    tables = list(product(LEADS.items(), TESTED))
    for (ours, (claim, table)), measure in Progress(tables, title="leads", unit="table"):
        ahead = {d: leads(evidence, compared[d], families[d], measure, ours) for d in compared}
        for dataset, by_method in ahead.items():
            yield from (_lead(table, dataset, measure, lead) for lead in by_method.values())
        for label, names in rivals.items():
            hardest = {d: ahead[d][strongest(compared[d], names, measure)] for d in compared}
            mean = fmean(lead.difference for lead in hardest.values())
            yield _row(claim, MEAN, measure, mean, variant=label)
            yield from (_lead(claim, d, measure, lead, variant=label) for d, lead in hardest.items())


def _lead(table: str, dataset: str, measure: str, lead: Lead, **others: Any) -> Row:
    low, high = lead.interval
    statistics = {"method": lead.over, "low": low, "high": high, "p": lead.p}
    return _row(table, dataset, measure, lead.difference, **statistics, **others)


def _methods(compared: Mapping[str, Compared]) -> Iterator[Row]:
    """Every measure of every method, and as `text towers` of both towers where there are two."""
    for dataset, by_method in compared.items():
        for method, towers in by_method.items():
            for figures in towers:
                tower = {"method": method, "text_tower": figures.text_tower}
                tables = ["methods"] * (figures is towers[0]) + ["text towers"] * (len(towers) > 1)
                if len(towers) > 1:
                    chosen = figures.jobs[0].hyperparameters
                    trial = (asdict(chosen) if chosen else {}) | {VALIDATION: figures.validation}
                    yield from (_row("text towers", dataset, name, trial[name], **tower) for name in trial)
                for measure, (low, high) in figures.interval.items():
                    spread = {"deviation": figures.deviation[measure], "low": low, "high": high}
                    spread["seeds"] = len(figures.jobs)
                    for table in tables:
                        yield _row(table, dataset, measure, figures.mean[measure], **tower, **spread)


def _ablations(evidence: Evidence) -> Iterator[Row]:
    """The hybrid, untuned, and with one thing changed at a time; one seed."""
    hybrids = _hybrids(evidence)
    variants = {"hybrid": hybrids, UNTUNED: _untuned(evidence)}
    variants |= {name: {d: evidence.variants[name, d] for d in hybrids} for name in ABLATIONS}
    for name, jobs in variants.items():
        for measure in TESTED:
            values = {d: _test(evidence, jobs[d])[measure] for d in hybrids}
            values[MEAN] = fmean(values.values())
            yield from (_row("ablations", d, measure, value, variant=name) for d, value in values.items())


def _learning(evidence: Evidence) -> Iterator[Row]:
    """The hybrid by the number of queries that it is tuned on; one seed."""
    hybrids = _hybrids(evidence)
    variants = {UNTUNED: _untuned(evidence)}
    for name in LEARNING:
        variants[name] = {d: job for d in hybrids if (job := evidence.variants.get((name, d)))}
    variants[ALL_QUERIES] = hybrids
    for name, jobs in variants.items():
        for measure in TESTED:
            for dataset, job in jobs.items():
                yield _row("learning", dataset, measure, _test(evidence, job)[measure], variant=name)


def _kinds(
    evidence: Evidence, compared: Mapping[str, Compared], kinds: Mapping[str, Sequence[str]]
) -> Iterator[Row]:
    """R@1 of every method by kind of modification, mean over the seeds."""
    for dataset, by_method in compared.items():
        for method, towers in by_method.items():
            for kind, recall in recall_by(evidence, towers[0].jobs, kinds[dataset]).items():
                yield _row("kinds", dataset, "R@1", recall, method=method, variant=kind)


def _quality(evidence: Evidence) -> Iterator[Row]:
    """The hybrid, with texts whose facts are left out or wrong; one seed."""
    for dataset, hybrid in _hybrids(evidence).items():
        jobs = {name: job for name in QUALITY if (job := evidence.variants.get((name, dataset)))}
        for name, job in ({AS_WRITTEN: hybrid} | jobs).items() if jobs else ():
            for measure in TESTED:
                yield _row("quality", dataset, measure, _test(evidence, job)[measure], variant=name)


def _terms(evidence: Evidence) -> Iterator[Row]:
    """Each similarity alone, of the untuned (frozen) and of the tuned text tower; one seed."""
    for dataset, details in evidence.details.items():
        for state, tower in ((UNTUNED, FROZEN), (TUNED, TUNED)):
            for method, metrics in details["terms"][state].items():
                for measure in TESTED:
                    yield _row("terms", dataset, measure, metrics[measure], method=method, text_tower=tower)


def _few_queries(evidence: Evidence) -> Iterator[Row]:
    """Choices on parts of validation, of the untuned (frozen) and of the tuned text tower; one seed."""
    for dataset, details in evidence.details.items():
        for state, tower in ((UNTUNED, FROZEN), (TUNED, TUNED)):
            for way, by_size in details["few_queries"][state].items():
                for size in sorted(by_size, key=int):
                    for measure, value in by_size[size].items():
                        where = {"text_tower": tower, "variant": way}
                        yield _row("few queries", dataset, f"{measure}, {size}", value, **where)


def _traps(evidence: Evidence, compared: Mapping[str, Compared]) -> Iterator[Row]:
    """R@1 with each kind of trap taken out of the gallery; one seed."""
    for dataset, by_method in compared.items():
        for method in (method.name for method in registry.METHODS if method.plotted):
            for view in (TEST, *(f"without {trap}" for trap in TRAPS)):
                recall = _test(evidence, by_method[method][0].jobs[0], view)["R@1"]
                variant = WHOLE_GALLERY if view == TEST else view
                yield _row("traps", dataset, "R@1", recall, method=method, variant=variant)


def _transfer(evidence: Evidence) -> Iterator[Row]:
    """The hybrid tuned on the dataset `variant`, tested on `dataset`; one seed."""
    tuned_on = {UNTUNED: {d: _test(evidence, job) for d, job in _untuned(evidence).items()}}
    tuned_on |= {dataset: details["transfer"] for dataset, details in evidence.details.items()}
    for variant, tested_on in tuned_on.items():
        for dataset, metrics in tested_on.items():
            yield _row("transfer", dataset, "mean_recall", metrics["mean_recall"], variant=variant)


def _beyond(evidence: Evidence) -> Iterator[Row]:
    """What goes beyond the method: the hybrid trained in other ways, or with a further view; one seed."""

    def measured(result: Mapping[str, Metrics]) -> Metrics:
        return {VALIDATION: result["validation"]["mean_recall"]} | {m: result["test"][m] for m in TESTED}

    def of(job: Job) -> dict[str, Metrics]:
        return {"validation": evidence.results[job]["validation"], "test": _test(evidence, job)}

    for dataset, hybrid in _hybrids(evidence).items():
        views = evidence.details[dataset]["views"]
        pairs = {name: (of(hybrid), of(evidence.variants[name, dataset])) for name in BEYOND}
        pairs |= {name: (view["without"], view["with"]) for name, view in views.items()}
        for name, pair in pairs.items():
            before, after = map(measured, pair)
            for measure, value in after.items():
                yield _row("beyond", dataset, measure, value, variant=name, change=value - before[measure])
        yield from (_row("beyond", dataset, "share", views[name]["share"], variant=name) for name in views)


def _test(evidence: Evidence, job: Job, view: str = TEST) -> Metrics:
    return metrics_of(evidence.results[job]["views"][view])


def _hybrids(evidence: Evidence) -> dict[str, Job]:
    return {job.dataset: job for job in evidence.best if job.method == "hybrid"}


def _untuned(evidence: Evidence) -> dict[str, Job]:
    return {job.dataset: job for job in evidence.results if job.method == "hybrid_untuned"}
