"""The figures of the report, gathered from metrics, tables and curves; nothing here knows of HTML."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.base.errors import reading
from pipeline.base.expected import Expected, features_provenance
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import metrics_hash, read_metrics
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, RANKINGS, REJECTS, SPLITS
from pipeline.base.tables import read_table

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
CURVES = (("train_loss", "training loss"), ("val_mean_recall", "validation mean recall, %"))
Families = Sequence[tuple[str, Sequence[str]]]  # title and methods of each, in the order of the table
CORPUS_COUNTS = (
    "images", "images_train", "images_val", "images_test", "graphs", "rejected_images", "rejected_graphs",
    "rejected_queries", "split_assumed",
)  # fmt: skip
_REMEDY, _DAMAGED = "Run `dvc repro`", "the figures are not what the stage writes"
_SHOWN_REJECTS = 50
_CARD_LENGTH = 800  # characters


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
        splits = table["split"].to_pylist()
        counts[name] |= {f"queries_{split}": splits.count(split) for split in SPLITS}
        brought = table["source"].to_pylist().count("brought")
        counts[name] |= {"queries": len(splits), "made": len(splits) - brought}
    return counts


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value


def rankings(expected: Expected, dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rankings of a dataset, which must be those of the metrics and of the tables shown beside them."""
    paths = expected.paths
    embedded = paths.metrics("embed")
    with reading(embedded, _REMEDY, _DAMAGED):
        vlm = identity_hash(read_metrics(embedded).get("model", {}))
    expect = expected.rankings(dataset) | {
        "vlm": vlm,
        "metrics": metrics_hash(paths.metrics("evaluate", dataset)),
        "metrics of tune": metrics_hash(paths.metrics("tune", dataset)),
    }
    return read_table(paths.rankings(dataset), RANKINGS, columns, expect)


def kind_rows(expected: Expected, dataset: str, method: str) -> list[dict[str, Any]]:
    """R@1, R@5 and R@10 in percent, and the number of queries, by kind of modification."""
    ranks = pl.DataFrame(rankings(expected, dataset, ["kind", "method", "rank"]))
    recalls = [(100 * (pl.col("rank") <= k).mean()).alias(f"R@{k}") for k in (1, 5, 10)]
    by_kind = ranks.filter(method=method).group_by("kind").agg(pl.len().alias("queries"), *recalls)
    return by_kind.sort("kind").to_dicts()


@dataclass(frozen=True)
class Curve:
    """One column over the epochs; `dots` are x and y in an SVG of `CURVE_WIDTH` x `CURVE_HEIGHT` pixels."""

    title: str
    dots: list[tuple[float, float]]
    low: float
    high: float
    epochs: tuple[int, int]


CURVE_WIDTH, CURVE_HEIGHT = 260, 90


def curves(path: Path) -> list[Curve]:
    """The curves of one tuning run; a column without two values has none.

    Raises:
        UserError: the file is missing or no table of numbers.
    """
    reason = "the tuning curve is no table" if path.is_file() else "the tuning curve is missing"
    lines = []
    with reading(path, _REMEDY, reason), open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
        for column, title in CURVES:
            values = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            values = [(x, y) for x, y in values if math.isfinite(y)]
            if len(values) >= 2:
                lines.append(_curve(title, values))
    return lines


def _curve(title: str, values: list[tuple[int, float]]) -> Curve:
    epochs, figures = [x for x, _ in values], [y for _, y in values]
    low, high = min(figures), max(figures)
    across, up = max(1, epochs[-1] - epochs[0]), (high - low) or 1.0
    dots = [
        (
            round(6 + (x - epochs[0]) / across * (CURVE_WIDTH - 12), 1),
            round(CURVE_HEIGHT - 6 - (y - low) / up * (CURVE_HEIGHT - 12), 1),
        )
        for x, y in values
    ]
    return Curve(title, dots, low, high, (epochs[0], epochs[-1]))


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


def models(expected: Expected) -> list[dict[str, Any]]:
    """The models of the run: name, identity and, if its folder has a card, the card's first paragraph."""
    paths, datasets = expected.paths, expected.params.datasets
    embedded = paths.metrics("embed")
    with reading(embedded, _REMEDY, _DAMAGED):
        identity = read_metrics(embedded).get("model", {})
        model = str(identity.get("model", "unknown"))
        shown = {key: value for key, value in identity.items() if key != "model" and value is not None}
    for dataset in datasets:
        features_provenance(paths.features(dataset), expected.features(dataset, identity))
    rows = [_model(paths, "vision language model", model, shown)]
    prompts: dict[str, dict[str, set[str]]] = {}
    for title, locate, schema, expect in (
        ("interpretations", paths.interpretations, INTERPRETATIONS, expected.interpretations),
        ("pseudo captions", paths.pseudo_captions, PSEUDO_CAPTIONS, expected.pseudo_captions),
    ):
        for dataset in datasets:
            columns = ["model", "prompt_hash"]
            table = pl.DataFrame(read_table(locate(dataset), schema, columns, expect(dataset)))
            for name, prompt in table.unique().iter_rows():
                prompts.setdefault(name, {}).setdefault(f"prompt of the {title}", set()).add(prompt)
    for name in sorted(prompts):
        hashes = {key: ", ".join(sorted(values)) for key, values in prompts[name].items()}
        rows.append(_model(paths, "language model", name, hashes))
    return rows


def _model(paths: Paths, role: str, name: str, identity: dict[str, Any]) -> dict[str, Any]:
    card = _card(paths.root / name.removeprefix("local-dir:") / "README.md")
    return {"role": role, "name": name, "identity": identity, "card": card}


def _card(file: Path) -> str | None:
    """The first paragraph of a model's card, or None."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):  # there is none, or the model's name is no path
        return None
    if text.startswith("---\n"):  # the metadata block that model hubs put first
        text = text.partition("\n---\n")[2]
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.strip().splitlines() if not line.startswith("#")]
        if lines:
            return " ".join(lines).replace("**", "").replace("`", "")[:_CARD_LENGTH]
    return None
