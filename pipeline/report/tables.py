"""The figures of the report, gathered from metrics, tables and curves; nothing here knows of HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.base.errors import reading
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import metrics_hash, read_metrics
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS, REJECTS, SPLITS
from pipeline.base.tables import read_table, value_counts

MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
CAPTION_COUNTS = (
    ("rows", "rows"),
    ("failed", "failed"),
    ("empty", "of empty graphs"),
    ("summarised", "of summarised graphs"),
    ("over_clip_context", "over CLIP context"),
    ("fallback_rate", "by rule"),
)
CAPTION_WRITERS = (  # the groups of the figures: whose texts they are
    ("first", "the model, at first"),
    ("model", "the model, after repair"),
    ("final", "all texts of the table"),
    ("brought", "brought texts"),
)
CAPTION_FIGURES = (
    ("texts", "texts"),
    ("truncated", "truncated"),
    ("fact_recall", "fact recall"),
    ("hallucination_rate", "hallucination rate"),
    ("all_right_rate", "all right"),
)
CURVES = ("train_loss", "val_R@1", "val_R@5", "val_R@10", "val_mean_recall")
Families = Sequence[tuple[str, Sequence[str]]]  # title and methods of each, in the order of the table
CORPUS_COUNTS = (
    "images", "images_train", "images_val", "images_test", "graphs", "rejected_images", "rejected_graphs",
    "rejected_queries", "split_assumed",
)  # fmt: skip
_REMEDY, _DAMAGED = "Run `dvc repro`", "the figures are not what the stage writes"
_SHOWN_REJECTS = 50


@dataclass(frozen=True)
class MethodRow:
    """One line of the table of methods; `best` holds the measures in which no method is better."""

    family: str
    method: str
    values: dict[str, float]
    best: frozenset[str]


def method_figures(file: Path) -> dict[str, dict[str, float]]:
    """The `MEASURES` of every method in a metrics file of `evaluate`.

    Raises:
        UserError: the file is missing, or holds other figures.
    """
    metrics = read_metrics(file)
    with reading(file, _REMEDY, _DAMAGED):
        return {
            method: {measure: _number(values[measure]) for measure in MEASURES}
            for method, values in metrics.items()
        }


def method_rows(metrics: dict[str, dict[str, Any]], families: Families) -> list[MethodRow]:
    """Rows by family; methods of no family come last."""
    named = {method for _, methods in families for method in methods}
    best = {measure: max(values[measure] for values in metrics.values()) for measure in MEASURES}
    return [
        MethodRow(
            family,
            method,
            {measure: metrics[method][measure] for measure in MEASURES},
            frozenset(measure for measure in MEASURES if metrics[method][measure] == best[measure]),
        )
        for family, methods in (*families, ("others", sorted(set(metrics) - named)))
        for method in methods
        if method in metrics
    ]


def tuned(file: Path) -> dict[str, Any]:
    """What the report shows of a metrics file of `tune`: what was chosen, and the epochs.

    Raises:
        UserError: the file is missing, or holds other figures.
    """
    metrics = read_metrics(file)
    with reading(file, _REMEDY, _DAMAGED):
        groups = {group: metrics[group] for group in ("weights", "mixture") if group in metrics}
        shown: dict[str, Any] = {
            group: {name: _number(value) for name, value in values.items()}
            for group, values in groups.items()
        }
        shown["validation"] = {
            name: {measure: _number(values[measure]) for measure in MEASURES if measure in values}
            for name, values in metrics.get("validation", {}).items()
        }
        numbers = ("temperature", "best_epoch", "epochs")
        return shown | {name: _number(metrics[name]) for name in numbers if name in metrics}


def corpus_counts(expected: Expected) -> dict[str, dict[str, float]]:
    """The counts of `CORPUS_COUNTS` of each dataset, and its queries, brought and made.

    Raises:
        UserError: a file is missing, or holds other figures.
    """
    paths, datasets = expected.paths, expected.params.datasets
    file = paths.metrics("corpus")
    metrics = read_metrics(file)
    with reading(file, _REMEDY, _DAMAGED):
        counts = {name: {key: _number(metrics[name][key]) for key in CORPUS_COUNTS} for name in datasets}
    for name in datasets:
        table = read_table(paths.pairs(name), PAIRS, ["split", "source"], expected.pairs(name))
        splits, sources = value_counts(table["split"]), value_counts(table["source"])
        counts[name] |= {f"queries_{split}": splits.get(split, 0) for split in SPLITS}
        counts[name] |= {"queries": len(table), "made": len(table) - sources.get("brought", 0)}
    return counts


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value


def curves(path: Path) -> dict[str, list[tuple[float, float]]]:
    """The columns of one tuning run over the epochs; cells that are empty or endless are left out.

    Raises:
        UserError: the file is missing or no table of numbers.
    """
    reason = "the tuning curve is no table" if path.is_file() else "the tuning curve is missing"
    with reading(path, _REMEDY, reason):
        table = pl.read_csv(path, infer_schema=False)
        there = [column for column in CURVES if column in table.columns]
        numbers = table.select(pl.col("epoch").cast(pl.Int64), pl.col(there).cast(pl.Float64))
        known = {name: numbers.filter(pl.col(name).is_finite()).select("epoch", name) for name in there}
        return {name: list(points.iter_rows()) for name, points in known.items() if len(points)}


def caption_quality(paths: Paths, datasets: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row a stage and dataset: the `CAPTION_COUNTS`, and by writer the `CAPTION_FIGURES`.

    None where a figure is not known; a writer that wrote nothing may be absent.
    """
    stages = {"interpretations": "interpret", "pseudo captions": "caption"}
    rows = []
    for title, stage in stages.items():
        file = paths.metrics(stage)
        metrics = read_metrics(file)
        with reading(file, _REMEDY, _DAMAGED):
            for dataset in datasets:
                known = metrics.get(dataset, {})
                writers = {
                    said: _figures(known[writer], CAPTION_FIGURES)
                    for writer, said in CAPTION_WRITERS
                    if writer in known
                }
                counts = _figures(known, CAPTION_COUNTS)
                rows.append({"stage": title, "dataset": dataset, "writers": writers, **counts})
    return rows


def _figures(known: dict[str, Any], names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The figures of these names; None where not known."""
    return {name: None if known.get(name) is None else _number(known[name]) for name, _ in names}


def rejects(expected: Expected) -> tuple[list[dict[str, Any]], int]:
    """The first rejects, and how many there are."""
    expect = expected.rejects() | {"metrics": metrics_hash(expected.paths.metrics("corpus"))}
    table = read_table(expected.paths.rejects, REJECTS, expect=expect)
    return table.slice(0, _SHOWN_REJECTS).to_pylist(), table.num_rows
