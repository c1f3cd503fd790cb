"""Image features by the VLM: worker processes read, check and decode images while the model runs."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.decode import ALL, RULES, decode, decoder
from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.progress import Progress
from pipeline.vision.feature_cache import FeatureCache
from pipeline.vision.vlm import Vlm

_IN_PROCESS = 64  # up to this many images are decoded in this process: workers take longer to start
_LONGEST_S = 900  # that the model waits for a batch of images: their workers cannot go on
_SHARED = (
    "Enlarge /dev/shm (docker: --shm-size), raise `ulimit -f` and `ulimit -n`, or lower speed.embed_batch"
)
_PART_ROWS = 2048  # about so many rows are one part of the cache; a kill loses at most one part


@dataclass(frozen=True)
class Source:
    """An image to embed: its file, and the sha256 that its bytes must have.

    `max_pixels` limits an image that no corpus stage has checked.
    """

    path: Path
    sha256: str
    max_pixels: float = ALL


@dataclass
class Spent:
    """How many images were embedded, and how long it took.

    Attributes:
        images: those embedded, not taken from the cache.
        decode: seconds of reading and decoding, summed over the workers.
        forward: seconds in the model.
        total: seconds from the first image to the last.
    """

    images: int = 0
    decode: float = 0.0
    forward: float = 0.0
    total: float = 0.0


class _Images:
    """A map-style dataset for torch's DataLoader; problems are returned, since workers cannot raise them."""

    def __init__(self, sources: Sequence[Source], preprocess: Any) -> None:
        self.sources = sources
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        start = time.perf_counter()
        source = self.sources[index]
        try:
            data = source.path.read_bytes()
        except OSError as error:
            return _Problem(source, f"the image file cannot be read: {error.strerror}"), 0.0
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 != source.sha256:
            reason = f"the image has changed: its sha256 is {sha256}, the corpus says {source.sha256}"
            return _Problem(source, reason), 0.0
        try:
            return self.preprocess(decode(data, source.max_pixels)), time.perf_counter() - start
        except ValueError as error:
            return _Problem(source, str(error)), 0.0


@dataclass(frozen=True)
class _Problem:
    source: Source
    reason: str
    remedy: str = "Restore the file, or run `dvc repro corpus` to take it as it is"


def _collate(items: list[tuple[Any, float]]) -> tuple[Any, float]:
    import torch

    for item, _ in items:
        if isinstance(item, _Problem):
            return item, 0.0
    images, seconds = torch.stack([item for item, _ in items]), sum(seconds for _, seconds in items)
    if (worker := torch.utils.data.get_worker_info()) is not None:
        try:
            images.share_memory_()  # else a thread does it later, and where it fails, nobody hears of it
        except RuntimeError as error:
            for left in Path("/dev/shm").glob(f"torch_{os.getpid()}_*"):
                left.unlink(missing_ok=True)
            images_of: Any = worker.dataset
            return _Problem(images_of.sources[0], f"no shared memory for images: {error}", _SHARED), 0.0
    return images, seconds


def _batches(loader: Any) -> Iterator[tuple[Any, float]]:
    try:
        yield from loader
    except RuntimeError as error:
        if "timed out" not in str(error):
            raise
        reason = f"no worker process has given any images for {_LONGEST_S} s"
        raise UserError(reason, f"Read their lines above. {_SHARED}") from error


def embed_images(
    vlm: Vlm, sources: Sequence[Source], *, batch: int, workers: int, spent: Spent
) -> Iterator["np.ndarray"]:
    """Yield L2-normalised features (n, D), float32, n up to `batch`, in the order of `sources`.

    Raises:
        UserError: an image is missing or is not what the corpus holds (both hashes are named), or a feature
            is not finite.
    """
    import torch
    from torch.nn.functional import normalize
    from torch.utils.data import DataLoader

    processes = workers if len(sources) > _IN_PROCESS else 0
    loader: DataLoader[Any] = DataLoader(
        _Images(sources, vlm.preprocess),  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=processes,
        timeout=_LONGEST_S if processes else 0,
        collate_fn=_collate,
        pin_memory=vlm.device != "cpu",
    )
    # measured on a CPU: convolutions run 1.5 to 2 times as fast; towers without them lose nothing
    layout = torch.channels_last
    vlm.model.visual.to(memory_format=layout)
    dtype = next(vlm.model.visual.parameters()).dtype
    done = 0
    for images, decoding in _batches(loader):
        if isinstance(images, _Problem):
            raise UserError(images.reason, images.remedy, file=images.source.path)
        spent.decode += decoding
        start = time.perf_counter()
        with torch.inference_mode():
            images = images.to(vlm.device, dtype, non_blocking=True, memory_format=layout)  # (n, 3, H, W)
            features = vlm.model.encode_image(images)  # (n, D)
            features = normalize(features.float(), dim=-1).cpu()
        spent.forward += time.perf_counter() - start
        if not features.isfinite().all():
            bad = int((~features.isfinite()).any(1).nonzero()[0])
            raise UserError(
                "the image's feature is not finite",
                "Set vlm.precision to fp32, or check the model's weights",
                file=sources[done + bad].path,
            )
        done += len(features)
        spent.images += len(features)
        yield features.numpy()


def open_cache(vlm: Vlm, params: Params, folder: Path) -> FeatureCache:
    """The cache in `folder` of the features that this model and these parameters give."""
    made_by = {**vlm.identity, "decoder": decoder(), "pixels": RULES}
    return FeatureCache(folder, made_by, vlm.dimension, params.embed.dtype)


def cached_features(
    vlm: Vlm, files: Mapping[str, Path], params: Params, folder: Path, max_pixels: float = ALL
) -> tuple[FeatureCache, Spent]:
    """Embed the images that the cache in `folder` lacks; return the cache, and how long embedding took.

    Images are embedded in the order of their hashes, so their names do not matter. Parts of the cache end
    where batches end, so a run after an interruption has the same batches.

    Args:
        files: image files by the sha256 of their bytes.
        max_pixels: limits images that no corpus stage has checked.

    Raises:
        UserError: what `embed_images` raises.
    """
    cache = open_cache(vlm, params, folder)
    sources = [Source(files[sha256], sha256, max_pixels) for sha256 in sorted(files) if sha256 not in cache]
    spent = Spent()
    if not sources:
        return cache, spent
    batch, workers = params.speed.embed_batch, params.speed.workers
    part_rows = batch * -(-_PART_ROWS // batch)
    pending: list[np.ndarray] = []
    start, stored = time.perf_counter(), 0
    with Progress(total=len(sources), unit="image", title="embed") as progress:
        for features in embed_images(vlm, sources, batch=batch, workers=workers, spent=spent):
            pending.append(features)
            progress.update(len(features))
            if spent.images - stored >= part_rows or spent.images == len(sources):
                hashes = [source.sha256 for source in sources[stored : spent.images]]
                cache.add(hashes, np.concatenate(pending))
                pending, stored = [], spent.images
    spent.total = time.perf_counter() - start
    return cache, spent
