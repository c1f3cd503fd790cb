"""lempo report

One static HTML page of all results: no scripts, no other files, no request to any host.
"""

import logging

from pipeline.base.files import replacing
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.report.page import gather, render
from trainer.methods import registry

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `report/index.html`.

    Raises:
        UserError: a table, a metric or an image is missing.
    """
    html = render(gather(params, paths, registry.families(), registry.pictured()))
    with replacing(paths.report) as temporary:
        temporary.write_text(html, encoding="utf-8")
    log.info("report: %s, %.1f MB", paths.report, len(html.encode()) / 1e6)
