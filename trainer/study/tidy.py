"""What a study measured with one seed, as one long frame, and rows of such a frame in a wanted order."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

import polars as pl

from trainer.study.jobs import TEST, metrics_of
from trainer.study.plan import FROZEN
from trainer.study.run import Evidence

UNTUNED, WHOLE_GALLERY, VALIDATION = "untuned", "whole gallery", "validation mean_recall"
Metrics = Mapping[str, float]


def tidy(evidence: Evidence) -> pl.DataFrame:
    """Every number of the first seed, one a row. Of the trials there are those that validation prefers.

    Returns:
        `dataset`, `method`, `text_tower`, `variant`, `view` and `measure`, null where they do not apply, and
        `value`, in percent if it is a metric. `variant` of a job is what is changed of the hybrid, else its
        method. A view that is added to the hybrid is a variant, and so is the hybrid `without` it, measured
        again. `view` is the gallery, whole or `without` a kind of trap; or `terms`, `few queries`,
        `transfer` or `cost`. In `transfer` the variant is the dataset that the hybrid was tuned on.
    """
    changed = evidence.variants
    jobs = {
        (job.dataset, job.method, job.text_tower, changed.get(job, job.method)): _by_view(result)
        for job, result in evidence.results.items()
        if job in changed or job in evidence.best or not job.hyperparameters
    }

    def details(key: str) -> dict[str, Any]:
        return {dataset: of[key] for dataset, of in evidence.details.items()}

    added = {
        dataset: {name: _whole(**view["with"], share=view["share"]) for name, view in views.items()}
        | {f"without {name}": _whole(**view["without"]) for name, view in views.items()}
        for dataset, views in details("views").items()
    }
    few = _frame(details("few_queries"), "dataset", "text_tower", "variant", "queries", "measure")
    few = few.sort("variant", pl.col("queries").cast(pl.Int64), maintain_order=True)
    beside = {
        WHOLE_GALLERY: _frame(added, "dataset", "variant", "measure"),
        "terms": _frame(details("terms"), "dataset", "text_tower", "method", "measure"),
        "few queries": few.with_columns(measure=pl.format("{}, {}", "measure", "queries")).drop("queries"),
        "transfer": _frame(details("transfer"), "variant", "dataset", "measure"),
        "cost": _frame(evidence.cost, "dataset", "measure"),
    }
    frames = [frame.with_columns(view=pl.lit(view)) for view, frame in beside.items()]
    frames.append(_frame(jobs, "dataset", "method", "text_tower", "variant", "view", "measure"))
    return pl.concat(frames, how="diagonal").with_columns(pl.col("text_tower").replace(UNTUNED, FROZEN))


def in_order(frame: pl.DataFrame, **wanted: Iterable[Any]) -> pl.DataFrame:
    """The rows whose columns have wanted values, in the order of these, then in that of the frame.

    Args:
        wanted: column -> its values; the first column counts most.
    """
    rows = pl.DataFrame(list(product(*wanted.values())), list(wanted), orient="row")
    return rows.join(frame, on=list(wanted), maintain_order="left_right")


def _whole(validation: Metrics, test: Metrics, **others: float) -> dict[str, float]:
    return {f"validation {name}": value for name, value in validation.items()} | {**test, **others}


def _by_view(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    views = {view: metrics_of(ranks) for view, ranks in result["views"].items()}
    return {WHOLE_GALLERY: _whole(result["validation"], views.pop(TEST)), **views}


def _frame(nested: Mapping[Any, Any], *names: str) -> pl.DataFrame:
    """A row for each number of nested results; the names are those of the keys, the outermost first."""
    schema = {**dict.fromkeys(names, pl.String), "value": pl.Float64}
    return pl.DataFrame(list(_rows(nested)), schema, orient="row")


def _rows(nested: Any, *path: str) -> Iterator[tuple[Any, ...]]:
    if not isinstance(nested, Mapping):
        yield *path, nested
        return
    for key, inner in nested.items():
        yield from _rows(inner, *path, *(key if isinstance(key, tuple) else (key,)))
