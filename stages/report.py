"""lempo report

A folder with a page of all results and small pictures. It opens from disk, and asks no host. Beside it, one
file with the few figures that people compare.
"""

import logging
from typing import Any

from pipeline.base.metrics_io import read_metrics, write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.storage import replacing_folder
from pipeline.report.page import Methods, gather, render
from pipeline.report.pictures import write_pictures
from trainer.methods import registry

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `report/`, `index.html` and `pictures/`, and `metrics/summary.json`.

    Raises:
        UserError: a table, a metric or an image is missing.
    """
    compared = summaries(params, paths)
    methods = Methods(registry.families(), registry.plotted(), registry.pictured())
    shown, wanted = gather(params, paths, methods)
    html = render(shown)
    folder = paths.report
    with replacing_folder(folder) as temporary:
        (temporary / "index.html").write_text(html, encoding="utf-8")
        write_pictures(temporary, wanted, params.speed.workers)
        size = sum(file.stat().st_size for file in temporary.rglob("*.*"))
    write_metrics(paths.summaries, compared)
    log.info("report: %s, %.1f MB", folder / "index.html", size / 1e6)


def summaries(params: Params, paths: Paths) -> dict[str, dict[str, Any]]:
    """The figures that people compare, by stage, and by dataset for what was tuned and evaluated on each.

    Raises:
        UserError: a stage has not written its own.
    """
    files = [paths.summary(stage) for stage in ("corpus", "pairs", "interpret", "caption")]
    files += [paths.summary(stage, dataset) for dataset in params.datasets for stage in ("tune", "evaluate")]
    found: dict[str, dict[str, Any]] = {}
    for file in files:
        for name, figures in read_metrics(file).items():
            found.setdefault(name, {}).update(figures)
    return found
