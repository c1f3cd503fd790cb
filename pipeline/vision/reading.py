"""Image files as batches of tensors for the model, read, checked and decoded by worker processes."""

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.decode import ALL, decode
from pipeline.base.files import file_bytes

SHARED = (
    "Enlarge /dev/shm (docker: --shm-size), raise `ulimit -f` and `ulimit -n`, or lower speed.embed_batch"
)


@dataclass(frozen=True)
class Source:
    """An image to embed: its file, and the sha256 that its bytes must have.

    `max_pixels` limits an image that no corpus stage has checked.
    """

    path: Path
    sha256: str
    max_pixels: float = ALL


@dataclass(frozen=True)
class Problem:
    """Why an image, or a batch, cannot be embedded: a worker gives it back, since it cannot raise it."""

    path: Path
    reason: str
    remedy: str = "Restore the file, or run `dvc repro corpus` to take it as it is"


def bytes_of(source: Source) -> "bytes | Problem":
    """The bytes of an image, or why they are not those that the corpus knows."""
    try:
        data = file_bytes(source.path)
    except OSError as error:
        return Problem(source.path, f"the image file cannot be read: {error.strerror}")
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != source.sha256:
        reason = f"the image has changed: its sha256 is {sha256}, the corpus says {source.sha256}"
        return Problem(source.path, reason)
    return data


class Images:
    """A map-style dataset for torch's DataLoader: of each image a tensor (3, H, W), and seconds spent."""

    def __init__(self, sources: Sequence[Source], preprocess: Any) -> None:
        self.sources = sources
        self.preprocess = preprocess

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> tuple[Any, float]:
        start = time.perf_counter()
        source = self.sources[index]
        if isinstance(data := bytes_of(source), Problem):
            return data, 0.0
        try:
            return self.preprocess(decode(data, source.max_pixels)), time.perf_counter() - start
        except ValueError as error:
            return Problem(source.path, str(error)), 0.0


def stacked(items: Sequence[tuple[Any, float]]) -> tuple[Any, float]:
    """Items of `Images` as one tensor (n, 3, H, W), and their seconds; a problem stands for its batch."""
    import torch

    for item, _ in items:
        if isinstance(item, Problem):
            return item, 0.0
    return torch.stack([item for item, _ in items]), sum(seconds for _, seconds in items)


def shared(items: Sequence[tuple[Any, float]]) -> tuple[Any, float]:
    """As `stacked`, in memory that a worker process shares with the process of the model."""
    import torch

    images, seconds = stacked(items)
    worker = torch.utils.data.get_worker_info()
    if worker is None or isinstance(images, Problem):
        return images, seconds
    try:
        images.share_memory_()  # else a thread does it later, and where it fails, nobody hears of it
    except RuntimeError as error:
        for left in Path("/dev/shm").glob(f"torch_{os.getpid()}_*"):
            left.unlink(missing_ok=True)
        images_of: Any = worker.dataset
        return Problem(images_of.sources[0].path, f"no shared memory for images: {error}", SHARED), 0.0
    return images, seconds
