"""lempo embed

Image features of every dataset; images that were embedded before, by the same model, are not embedded again.
"""

import logging
import time

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from pipeline.vision.cached import cached_features
from pipeline.vision.features import write_features
from pipeline.vision.vlm import load_vlm

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `data/features`, `metrics/embed.json` and `metrics/speed/embed.json`.

    Raises:
        UserError: the model or a table is missing, or an image is not what the corpus stage saw.
    """
    columns, expected = ["image_id", "path", "sha256"], Expected(params, paths)
    tables = {
        dataset: read_table(paths.images(dataset), IMAGES, columns, expected.corpus(dataset)).to_pydict()
        for dataset in params.datasets
    }
    files = {
        sha256: paths.root / path
        for table in tables.values()
        for sha256, path in zip(table["sha256"], table["path"], strict=True)
    }
    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    seconds = {"load": time.perf_counter() - start}
    cache, spent = cached_features(vlm, files, params, paths)
    start = time.perf_counter()
    rows = {dataset: len(table["image_id"]) for dataset, table in tables.items()}
    rows["all"] = sum(rows.values())
    for dataset, table in tables.items():
        write_features(
            paths.features(dataset),
            table["image_id"],
            table["sha256"],
            cache.blocks(table["sha256"]),
            dimension=vlm.dimension,
            dtype=params.embed.dtype,
            made_from=expected.features(dataset, vlm.identity),
        )
    metrics = {name: {"rows": count, "dimension": vlm.dimension} for name, count in rows.items()}
    write_metrics(paths.metrics("embed"), {"model": vlm.identity, **metrics})
    seconds |= {"decode": spent.decode, "forward": spent.forward, "write": time.perf_counter() - start}
    cached = len(files) - spent.images
    rate = spent.images / spent.total if spent.images else None
    write_metrics(
        paths.speed("embed"),
        {
            "model": params.vlm.model,
            "seconds": seconds,
            "embedded": spent.images,
            "cached": cached,
            "damaged_cache_parts": cache.damaged,
            "batch": spent.batch or params.speed.embed_batch,
            "images_per_second": rate,
        },
    )
    log.info(
        "embed: %d images embedded (%s), %d from the cache; %s%s",
        spent.images,
        f"{rate:.0f} images/s" if rate else "none",
        cached,
        f"{cache.damaged} damaged parts of the cache set aside; " if cache.damaged else "",
        ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items()),
    )
