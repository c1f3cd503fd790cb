"""The page of the report: gathers what it shows from tables and metrics, and renders the template."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.report import ran, tables
from pipeline.report.charts import Chart, Series, chart
from pipeline.report.gallery import TOP, gallery
from pipeline.report.pictures import Wanted
from pipeline.report.recall import RECALLS, at_every_k, by_kind, ranks, recalls
from pipeline.report.worst import worst_captions

PAGE = Path(__file__).with_name("page")
SCRIPTS = (  # in the order in which they run, all in one scope
    "dom.js", "state.js", "select.js", "graph.js", "detail.js", "card.js", "main.js",
)  # fmt: skip
_CURVE_TO = 50
_WORST = 10  # texts of a dataset and kind
_OURS = {"hybrid": "tuned", "hybrid_untuned": "untuned"}  # method -> its name in the figures of validation
_LOOKS = ("ours", "second", "third", "fourth")


@dataclass(frozen=True)
class Methods:
    """What the report has to know of methods.

    Attributes:
        families: title and methods of each family, in the order of the table.
        plotted: the methods whose lines have a colour, ours first.
        pictured: the two methods that the gallery shows at first.
    """

    families: tables.Families
    plotted: Sequence[str]
    pictured: Sequence[str]


def gather(params: Params, paths: Paths, methods: Methods) -> tuple[dict[str, Any], list[Wanted]]:
    """All that the template shows, and the pictures that it names.

    Raises:
        UserError: a table or a metric is missing, or they do not belong together.
    """
    expected = Expected(params, paths)
    rejected, rejected_count = tables.rejects(expected)
    datasets = [_dataset(expected, name, methods) for name in params.datasets]
    order = list(dict.fromkeys(row.method for dataset in datasets for row in dataset["methods"]))
    pictured = [name for name in methods.pictured if name in order]
    first = (pictured + order)[:2]
    galleries: list[dict[str, Any]] = []
    wanted: dict[str, Wanted] = {}
    share = params.report.pictures // len(params.datasets)
    for name in params.datasets:
        shown_first = [*first, *(method for method in order if method not in first)]
        found = gallery(expected, name, order, shown_first, params.report.queries, share)
        galleries.append(found.data)
        wanted |= {image.sha256: image for image in found.wanted if image.sha256 not in wanted or image.large}
    shown = {
        "datasets": datasets,
        "corpus": tables.corpus_counts(expected),
        "rejects": rejected,
        "rejected_count": rejected_count,
        "captions": tables.caption_quality(paths, params.datasets),
        "worst": [
            (title, [row for name in params.datasets for row in worst_captions(expected, name, kind, _WORST)])
            for title, kind in (
                ("interpretations", "interpretations"),
                ("pseudo captions", "pseudo_captions"),
            )
        ],
        "models": ran.models(expected),
        "versions": ran.versions(paths, params.datasets),
        "parameters": ran.parameters(params),
        "gallery": {
            "methods": order,
            "first": first,
            "families": [
                [title, [name for name in names if name in order]]
                for title, names in _families(methods, order)
            ],
            "datasets": galleries,
        },
    }
    return shown, list(wanted.values())


def _families(methods: Methods, order: Sequence[str]) -> list[tuple[str, Sequence[str]]]:
    named = {name for _, names in methods.families for name in names}
    return [*methods.families, ("others", [name for name in order if name not in named])]


def _dataset(expected: Expected, name: str, methods: Methods) -> dict[str, Any]:
    paths = expected.paths
    ranked = ranks(expected, name)
    tuned = tables.tuned(paths.metrics("tune", name))
    rows = tables.method_rows(tables.method_figures(paths.metrics("evaluate", name)), methods.families)
    return {
        "name": name,
        "methods": rows,
        "recalls": recalls(ranked),
        "kinds": by_kind(ranked),
        "tune": tuned,
        "charts": [
            each
            for each in (
                _recall_chart(
                    at_every_k(ranked, _CURVE_TO), [row.method for row in rows], tuned, methods.plotted
                ),
                *_training_charts(tables.curves(paths.plots("tune", name)), tuned, rows),
            )
            if each
        ],
    }


def _recall_chart(
    curves: dict[str, list[float]], order: Sequence[str], tuned: dict[str, Any], plotted: Sequence[str]
) -> Chart | None:
    """Recall at every K on the test split, with the hybrid's on validation as marks."""
    looks = dict(zip(plotted, _LOOKS, strict=False))
    series = [
        Series(name, list(enumerate(curves[name], start=1)), looks.get(name, "faint"), name in looks)
        for name in sorted((name for name in order if name in curves), key=lambda name: name in looks)
    ]
    for name, on_validation in _OURS.items():
        found = tuned["validation"].get(on_validation, {})
        points = [(k, found[f"R@{k}"]) for k in RECALLS if f"R@{k}" in found]
        series.append(Series(f"{name} on validation", points, looks.get(name, "faint"), joined=False))
    title = "Recall at K, %: lines on test, rings on validation"
    return chart(title, "K", series, (1, 2, 5, 10, 20, 50), logarithmic=True)


def _training_charts(
    curves: dict[str, list[tuple[float, float]]], tuned: dict[str, Any], rows: Sequence[tables.MethodRow]
) -> list[Chart | None]:
    """The loss on the train split, and recall on validation; that of the kept epoch on test as marks."""
    epochs = [x for points in curves.values() for x, _ in points]
    if not epochs:
        return []
    first, last = min(epochs), max(epochs)
    step = max(1, round((last - first) / 8))
    ticks = [*range(int(first), int(last), step), last]
    loss = curves.get("train_loss", [])
    names = [name for name in tables.CURVES if name.startswith("val_") and name in curves]
    looks = dict(zip(names, ("second", "third", "fourth", "ours"), strict=False))
    series = [
        Series(name.removeprefix("val_").replace("_", " "), curves[name], look, True, marked=True)
        for name, look in looks.items()
    ]
    tested = next((row.values for row in rows if row.method == "hybrid"), {})
    for name, look in looks.items():
        measure = name.removeprefix("val_")
        points = (
            [(tuned["best_epoch"], tested[measure])] if measure in tested and "best_epoch" in tuned else []
        )
        series.append(Series(f"{measure.replace('_', ' ')} on test", points, look, joined=False))
    return [
        chart(
            "Loss on the train split, by epoch",
            "epoch",
            [Series("train loss", loss, "ours", True, marked=True)],
            ticks,
        ),
        chart("Recall, %, by epoch: lines on validation, rings on test", "epoch", series, ticks),
    ]


def render(shown: dict[str, Any]) -> str:
    """The page with its style, its scripts and the gallery's data; every text in it is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.1f}%"
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    script = _joined(SCRIPTS)
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    template = environment.from_string((PAGE / "index.html").read_text(encoding="utf-8"))
    return template.render(
        **shown,
        script=Markup(script),
        style=Markup(style),
        hashes={"script": _hash(script), "style": _hash(style)},
        measures=tables.MEASURES,
        caption_counts=tables.CAPTION_COUNTS,
        caption_figures=tables.CAPTION_FIGURES,
        top=TOP,
    )


def _joined(names: Sequence[str]) -> str:
    """The scripts as one: a page that is opened from disk may load no module."""
    parts = "\n".join((PAGE / name).read_text(encoding="utf-8") for name in names)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _hash(text: str) -> str:
    """As a content security policy names a script or style in the page."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
