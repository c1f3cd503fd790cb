"""The figures of the report, gathered from metrics, tables and curves; nothing here knows of HTML."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected, features_provenance
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import metrics_hash, read_metrics
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, RANKINGS, REJECTS
from pipeline.base.tables import read_table

MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
CAPTION_FIGURES = (
    ("rows", "rows"),
    ("failed", "failed"),
    ("empty", "of empty graphs"),
    ("truncated", "truncated"),
    ("over_clip_context", "over CLIP context"),
    ("fact_recall", "fact recall"),
    ("hallucination_rate", "hallucination rate"),
    ("all_right_rate", "all right"),
    ("first_pass_all_right_rate", "all right, first pass"),
    ("fallback_rate", "by rule"),
)
CURVES = (("train_loss", "training loss"), ("val_mean_recall", "validation mean recall, %"))
Families = Sequence[tuple[str, Sequence[str]]]  # title and methods of each, in the order of the table
_SHOWN_REJECTS = 50
_CARD_LENGTH = 800  # characters


@dataclass(frozen=True)
class MethodRow:
    """One line of the table of methods; `best` holds the measures in which no method is better."""

    family: str
    method: str
    values: dict[str, float]
    best: frozenset[str]


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


def rankings(expected: Expected, dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rankings of a dataset, which must be those of the metrics and of the tables shown beside them."""
    paths = expected.paths
    expect = expected.rankings(dataset) | {
        "vlm": identity_hash(read_metrics(paths.metrics("embed")).get("model", {})),
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
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        lines = []
        for column, title in CURVES:
            values = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            if len(values) >= 2:
                lines.append(_curve(title, [(x, y) for x, y in values if math.isfinite(y)]))
        return lines
    except FileNotFoundError:
        raise UserError("the tuning curve is missing", "Run `dvc repro`", file=path) from None
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise UserError("the tuning curve is no table", "Run `dvc repro`", file=path, value=error) from None


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
    """One row a stage and dataset, with the figures of `CAPTION_FIGURES`; None where not known."""
    stages = {"interpretations": "interpret", "pseudo captions": "caption"}
    metrics = {title: read_metrics(paths.metrics(stage)) for title, stage in stages.items()}
    unknown = {figure: None for figure, _ in CAPTION_FIGURES}
    return [
        {"stage": title, "dataset": dataset, **unknown, **figures.get(dataset, {})}
        for title, figures in metrics.items()
        for dataset in datasets
    ]


def rejects(expected: Expected) -> tuple[list[dict[str, Any]], int]:
    """The first rejects, and how many there are."""
    expect = expected.rejects() | {"metrics": metrics_hash(expected.paths.metrics("corpus"))}
    table = read_table(expected.paths.rejects, REJECTS, expect=expect)
    return table.slice(0, _SHOWN_REJECTS).to_pylist(), table.num_rows


def models(expected: Expected) -> list[dict[str, Any]]:
    """The models of the run: name, identity and, if its folder has a card, the card's first paragraph."""
    paths, datasets = expected.paths, expected.params.datasets
    identity = read_metrics(paths.metrics("embed")).get("model", {})
    model = str(identity.get("model", "unknown"))
    for dataset in datasets:
        features_provenance(paths.features(dataset), expected.features(dataset, identity))
    shown = {key: value for key, value in identity.items() if key != "model" and value is not None}
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
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8", errors="replace")
    if text.startswith("---\n"):  # the metadata block that model hubs put first
        text = text.partition("\n---\n")[2]
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.strip().splitlines() if not line.startswith("#")]
        if lines:
            return " ".join(lines).replace("**", "").replace("`", "")[:_CARD_LENGTH]
    return None
