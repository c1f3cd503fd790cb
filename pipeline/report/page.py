"""The page of the report: gathers what it shows from tables and metrics, and renders the template."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.report import tables as report_tables
from pipeline.report.queries import THUMBNAIL, TOP, shown_queries

TEMPLATE = Path(__file__).with_name("template.html")


def gather(
    params: Params, paths: Paths, families: report_tables.Families, pictured: Sequence[str]
) -> dict[str, Any]:
    """All that the template shows.

    Args:
        families: title and methods of each family, in the order of the table.
        pictured: the methods whose first images are shown, side by side.

    Raises:
        UserError: a table, a metric or an image is missing, or they do not belong together.
    """
    expected = Expected(params, paths)
    rejected, rejected_count = report_tables.rejects(expected)
    return {
        "datasets": [
            {
                "name": name,
                "methods": report_tables.method_rows(
                    report_tables.method_figures(paths.metrics("evaluate", name)), families
                ),
                "kinds": report_tables.kind_rows(expected, name, "hybrid"),
                "tune": report_tables.tuned(paths.metrics("tune", name)),
                "curves": report_tables.curves(paths.plots("tune", name)),
            }
            for name in params.datasets
        ],
        "corpus": report_tables.corpus_counts(expected),
        "rejects": rejected,
        "rejected_count": rejected_count,
        "captions": report_tables.caption_quality(paths, params.datasets),
        "models": report_tables.models(expected),
        "queries": shown_queries(expected, params.datasets, params.report.queries, pictured),
    }


def render(shown: dict[str, Any]) -> str:
    """The page; every text in it is escaped."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["percent"] = lambda share: "–" if share is None else f"{100 * share:.1f}%"
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        **shown,
        measures=report_tables.MEASURES,
        caption_counts=report_tables.CAPTION_COUNTS,
        caption_figures=report_tables.CAPTION_FIGURES,
        curve=(report_tables.CURVE_WIDTH, report_tables.CURVE_HEIGHT),
        thumbnail=THUMBNAIL,
        top=TOP,
    )
