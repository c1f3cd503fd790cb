"""lempo embed

Image features of every dataset; images that were embedded before, by the same model, are not embedded again.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.base.decode import RULES
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from pipeline.vision.embedding import Seconds, Source, embed_images
from pipeline.vision.feature_cache import FeatureCache, distinct
from pipeline.vision.features import write_features
from pipeline.vision.vlm import Vlm, load_vlm

_PART_ROWS = 2048  # features of so many images are kept at once; a kill loses no more

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `data/features`, `metrics/embed.json` and `metrics/speed/embed.json`.

    Raises:
        UserError: the model or a table is not there, or an image is not what the corpus stage saw.
    """
    columns = ["image_id", "path", "sha256"]
    tables = {
        dataset: read_table(paths.images(dataset), IMAGES, columns).to_pydict() for dataset in params.datasets
    }
    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    spent = {"load": time.perf_counter() - start}
    decoder = _decoder()
    made_by = {**vlm.identity, "decoder": decoder, "pixels": RULES}
    cache = FeatureCache(paths.cache / "features", made_by, vlm.dimension, params.embed.dtype)
    files = {
        sha256: paths.root / path
        for table in tables.values()
        for sha256, path in zip(table["sha256"], table["path"], strict=True)
    }
    missing = [Source(files[sha256], sha256) for sha256 in distinct(files) if sha256 not in cache]
    seconds = Seconds()
    start = time.perf_counter()
    for hashes, vectors in _embedded(vlm, missing, params, seconds):
        cache.add(hashes, vectors)
    elapsed = time.perf_counter() - start
    start = time.perf_counter()
    metrics: dict[str, Any] = {"model": vlm.identity}
    for dataset, table in tables.items():
        write_features(
            paths.features(dataset),
            table["image_id"],
            table["sha256"],
            cache.blocks(table["sha256"]),
            dimension=vlm.dimension,
            dtype=params.embed.dtype,
            identity=vlm.identity,
            decoder=decoder,
        )
        metrics[dataset] = {"rows": len(table["image_id"]), "dimension": vlm.dimension}
    metrics["all"] = {
        "rows": sum(metrics[dataset]["rows"] for dataset in tables),
        "dimension": vlm.dimension,
    }
    write_metrics(paths.metrics("embed"), metrics)
    spent |= {"decode": seconds.decode, "forward": seconds.forward, "write": time.perf_counter() - start}
    rate = len(missing) / elapsed if missing else None
    write_metrics(
        paths.speed("embed"),
        {
            "seconds": spent,
            "embedded": len(missing),
            "cached": len(files) - len(missing),
            "images_per_second": rate,
        },
    )
    log.info(
        "embed: %d images embedded (%s), %d from the cache; "
        "load %.1f s, decode %.1f s, forward %.1f s, write %.1f s",
        len(missing),
        f"{rate:.0f} images/s" if rate else "none",
        len(files) - len(missing),
        *(spent[key] for key in ("load", "decode", "forward", "write")),
    )


def _embedded(
    vlm: Vlm, sources: list[Source], params: Params, seconds: Seconds
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Hashes and features, part by part; parts end where batches end, so a rerun cuts the same batches."""
    if not sources:
        return
    batch = params.speed.embed_batch
    part_rows = batch * -(-_PART_ROWS // batch)
    waiting: list[np.ndarray] = []
    first = held = 0
    with tqdm(total=len(sources), unit="image", desc="embed") as progress:
        for features in embed_images(
            vlm, sources, batch=batch, workers=params.speed.workers, seconds=seconds
        ):
            waiting.append(features)
            held += len(features)
            progress.update(len(features))
            if held >= part_rows or first + held == len(sources):
                yield [source.sha256 for source in sources[first : first + held]], np.concatenate(waiting)
                first, held, waiting = first + held, 0, []


def _decoder() -> str:
    from PIL import __version__

    return f"Pillow {__version__}"
