"""Features of the images that no run before has embedded, by this machine or by a Ray cluster, in a cache."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.base.decode import ALL
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from pipeline.vision.batch_size import batch_size
from pipeline.vision.embedding import Spent, embed_images, made_by, threads_of_model
from pipeline.vision.feature_cache import FeatureCache
from pipeline.vision.ray_embedding import embed_on_ray
from pipeline.vision.reading import Source
from pipeline.vision.vlm import Vlm

_PART_ROWS = 2048  # about so many rows are one part of the cache; a kill loses at most one part


def open_cache(vlm: Vlm, params: Params, paths: Paths) -> FeatureCache:
    """The cache of the features that this model and these parameters give."""
    return FeatureCache(paths.cache / "features", made_by(vlm), vlm.dimension, params.embed.dtype)


def cached_features(
    vlm: Vlm, files: Mapping[str, Path], params: Params, paths: Paths, max_pixels: float = ALL
) -> tuple[FeatureCache, Spent]:
    """Embed the images that the cache lacks; return the cache, and how long embedding took.

    Images are embedded in the order of their hashes, so their names do not matter. Parts of the cache end
    where batches end, so on one machine a run after an interruption has the same batches, unless they are
    measured anew. What was embedded is kept whatever ends the run, its own death apart.

    Args:
        files: image files by the sha256 of their bytes.
        max_pixels: limits images that no corpus stage has checked.

    Raises:
        UserError: what `embed_images` or `embed_on_ray` raises.
    """
    cache = open_cache(vlm, params, paths)
    sources = [Source(files[sha256], sha256, max_pixels) for sha256 in sorted(files) if sha256 not in cache]
    spent = Spent()
    if not sources:
        return cache, spent
    hashes: list[str] = []
    pending: list[np.ndarray] = []

    def store() -> None:
        if hashes:
            cache.add(hashes, np.concatenate(pending))
        hashes.clear()
        pending.clear()

    start = time.perf_counter()
    with Progress(total=len(sources), unit="image", title="embed") as progress:
        try:
            for names, features in _embedded(vlm, sources, params, paths, spent):
                hashes += names
                pending.append(features)
                progress.update(len(names))
                if len(hashes) >= _PART_ROWS:
                    store()
        finally:
            store()
    spent.total = time.perf_counter() - start
    return cache, spent


def _embedded(
    vlm: Vlm, sources: Sequence[Source], params: Params, paths: Paths, spent: Spent
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Hashes and features of all images, in any order."""
    speed = params.speed
    if speed.embed_engine == "ray":
        yield from embed_on_ray(vlm, params.vlm, speed, paths.root, sources, spent=spent)
        return
    spent.batch = batch_size(
        vlm, speed.embed_batch, len(sources), threads=threads_of_model(vlm, speed.workers)
    )
    for features in embed_images(vlm, sources, batch=spent.batch, workers=speed.workers, spent=spent):
        yield [source.sha256 for source in sources[spent.images - len(features) : spent.images]], features
