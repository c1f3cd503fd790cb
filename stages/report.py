"""lempo report

A folder with a page of all results and small pictures. It opens from disk, and asks no host.
"""

import logging
import shutil

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.storage import storage_errors, temporary_folder
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
    with storage_errors(folder), temporary_folder(folder) as outer:
        temporary = outer / folder.name
        temporary.mkdir()
        (temporary / "index.html").write_text(html, encoding="utf-8")
        write_pictures(temporary, wanted, params.speed.workers)
        size = sum(file.stat().st_size for file in temporary.rglob("*.*"))
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    log.info("report: %s, %.1f MB", folder / "index.html", size / 1e6)
