"""lempo report

A folder with a page of all results and small pictures. It opens from disk, and asks no host.
"""

import logging

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.storage import replacing_folder
from pipeline.report.page import Methods, gather, render
from pipeline.report.pictures import write_pictures
from trainer.methods import registry

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `report/`: `index.html` and `pictures/`.

    Raises:
        UserError: a table, a metric or an image is missing.
    """
    methods = Methods(registry.families(), registry.plotted(), registry.pictured())
    shown, wanted = gather(params, paths, methods)
    html = render(shown)
    folder = paths.report
    with replacing_folder(folder) as temporary:
        (temporary / "index.html").write_text(html, encoding="utf-8")
        write_pictures(temporary, wanted, params.speed.workers)
        size = sum(file.stat().st_size for file in temporary.rglob("*.*"))
    log.info("report: %s, %.1f MB", folder / "index.html", size / 1e6)
