"""Image features by the VLM, while worker processes read, check and decode images.

On CPUs the model runs in the workers too, each on one core, if there is one for each core: no pixels travel,
no core waits for another, and a busy neighbour slows one worker, not all. They are forks of the process that
has loaded the model, so they share its weights. Else, and on a GPU, the model runs in that process.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from pipeline.base.cores import usable_cores
from pipeline.base.decode import RULES, decoder
from pipeline.base.errors import UserError
from pipeline.vision.memory import keep_freed_memory
from pipeline.vision.reading import SHARED, Images, Problem, Source, bytes_of, shared, stacked
from pipeline.vision.vlm import Vlm

_IN_PROCESS = 64  # up to this many images are decoded in this process: workers take longer to start
_LOOKED_AT, _SHOWN = 10_000, 20  # images that are looked at and named after one that cannot be used
_LONGEST_S = 900  # that a batch of images may take: their workers cannot go on
_IMAGE_S = 60  # the same for each image that a model embeds on one core


@dataclass
class Spent:
    """How many images were embedded, and how long it took.

    Attributes:
        images: those embedded, not taken from the cache.
        batch: how many at a time.
        decode: seconds of reading and decoding, summed over the workers.
        forward: seconds in the model, summed over the workers where it runs in them.
        total: seconds from the first image to the last.
    """

    images: int = 0
    batch: int = 0
    decode: float = 0.0
    forward: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class _Features:
    """Features (n, D), float32, of one batch, and the seconds that it took."""

    vectors: np.ndarray
    decode: float
    forward: float


def _encoded(vlm: Vlm, images: Any, decoding: float) -> "_Features | Problem":
    """The features of a batch of images (n, 3, H, W)."""
    if isinstance(images, Problem):
        return images
    start = time.perf_counter()
    features = vlm.encode_images(images).cpu().numpy()
    return _Features(features, decoding, time.perf_counter() - start)


def _encoded_in_worker(vlm: Vlm, items: Sequence[tuple[Any, float]]) -> "_Features | Problem":
    return _encoded(vlm, *stacked(items))


def _begin_model(_: int) -> None:
    keep_freed_memory()


def _batches(
    vlm: Vlm, sources: Sequence[Source], batch: int, workers: int, cores: int
) -> "Iterator[_Features | Problem]":
    import torch
    from torch.utils.data import DataLoader

    processes = workers if len(sources) > _IN_PROCESS else 0
    in_workers = in_each_worker(vlm, processes, cores)
    # measured on a CPU: convolutions run 1.5 to 2 times as fast; towers without them lose nothing
    vlm.model.visual.to(memory_format=torch.channels_last)
    longest = max(_LONGEST_S, _IMAGE_S * batch) if in_workers else _LONGEST_S
    loader: DataLoader[Any] = DataLoader(
        Images(sources, vlm.preprocess),  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=processes,
        timeout=longest if processes else 0,
        collate_fn=partial(_encoded_in_worker, vlm) if in_workers else shared,
        worker_init_fn=_begin_model if in_workers else None,
        pin_memory=vlm.device != "cpu",
        multiprocessing_context="fork" if processes else None,
    )
    try:
        yield from loader if in_workers else (_encoded(vlm, *images) for images in loader)
    except RuntimeError as error:
        if "DataLoader timed out" not in str(error):
            raise
        reason = f"no worker process has given anything for {longest} s"
        remedy = "Lower speed.embed_batch" if in_workers else SHARED
        raise UserError(reason, f"Read their lines above. {remedy}") from error


def made_by(vlm: Vlm) -> dict[str, Any]:
    """All that features depend on, beside the image's bytes."""
    return {**vlm.identity, "decoder": decoder(), "pixels": RULES}


def threads_of_model(vlm: Vlm, workers: int, cores: int | None = None) -> int | None:
    """How many threads the model has where many images are embedded; None: as many as PyTorch has."""
    return 1 if in_each_worker(vlm, workers, cores or usable_cores()) else None


def in_each_worker(vlm: Vlm, workers: int, cores: int) -> bool:
    """Whether the model runs in each of so many worker processes, on one core there."""
    return vlm.device == "cpu" and workers >= cores


def _others(first: Problem, sources: Sequence[Source]) -> str:
    """Which other images of the next ones are missing or changed, so that all are mended at once."""
    problems = (bytes_of(source) for source in islice(sources, _LOOKED_AT))
    names = [str(p.path) for p in problems if isinstance(p, Problem) and p.path != first.path]
    if not names:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
    return f"; {len(names)} more are missing or have changed: {shown}"


def embed_images(
    vlm: Vlm,
    sources: Sequence[Source],
    *,
    batch: int,
    workers: int,
    spent: Spent,
    cores: int | None = None,
) -> Iterator[np.ndarray]:
    """Yield L2-normalised features (n, D), float32, n up to `batch`, in the order of `sources`.

    Args:
        workers: processes that read images; with few images this process does.
        cores: that are there for them; None: all that this process may use.

    Raises:
        UserError: an image is missing or is not what the corpus holds (both hashes are named), or a feature
            is not finite.
    """
    done = 0
    for found in _batches(vlm, sources, batch, workers, cores or usable_cores()):
        if isinstance(found, Problem):
            raise UserError(found.reason + _others(found, sources[done:]), found.remedy, file=found.path)
        finite = np.isfinite(found.vectors).all(1)
        if not finite.all():
            raise UserError(
                "the image's feature is not finite",
                "Set vlm.precision to fp32, or check the model's weights",
                file=sources[done + int(finite.argmin())].path,
            )
        done += len(found.vectors)
        spent.images += len(found.vectors)
        spent.decode += found.decode
        spent.forward += found.forward
        yield found.vectors
