"""Image features by the VLM: worker processes read, check and decode while the model runs."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.base.decode import ALL, RULES, decode
from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.params import Params
from pipeline.vision.feature_cache import FeatureCache
from pipeline.vision.vlm import Vlm

_IN_PROCESS = 64  # so few images are decoded before workers would have started
_PART_ROWS = 8192  # features of so many images are kept at once; a kill loses no more


@dataclass(frozen=True)
class Source:
    """An image to embed: its file, and the hash that its bytes had when the corpus was made.

    `max_pixels` limits an image that no corpus stage has checked.
    """

    path: Path
    sha256: str
    max_pixels: float = ALL


@dataclass
class Seconds:
    """Time spent, in seconds; `decode` is summed over the workers."""

    decode: float = 0.0
    forward: float = 0.0


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
        found = hashlib.sha256(data).hexdigest()
        if found != source.sha256:
            reason = f"the image has changed: its sha256 is {found}, the corpus says {source.sha256}"
            return _Problem(source, reason), 0.0
        try:
            return self.preprocess(decode(data, source.max_pixels)), time.perf_counter() - start
        except ValueError as error:
            return _Problem(source, str(error)), 0.0


@dataclass(frozen=True)
class _Problem:
    source: Source
    reason: str


def _collate(items: list[tuple[Any, float]]) -> tuple[Any, float]:
    import torch

    for item, _ in items:
        if isinstance(item, _Problem):
            return item, 0.0
    return torch.stack([item for item, _ in items]), sum(seconds for _, seconds in items)


def embed_images(
    vlm: Vlm, sources: Sequence[Source], *, batch: int, workers: int, seconds: Seconds
) -> Iterator["np.ndarray"]:
    """Yield L2-normalised features (n, D), float32, n up to `batch`, in the order of `sources`.

    Raises:
        UserError: an image is gone or is not what the corpus holds (both hashes are named), or a feature is
            not finite.
    """
    import torch
    from torch.nn.functional import normalize
    from torch.utils.data import DataLoader

    loader: DataLoader[Any] = DataLoader(
        _Images(sources, vlm.preprocess),  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers if len(sources) > _IN_PROCESS else 0,
        collate_fn=_collate,
        pin_memory=vlm.device != "cpu",
    )
    # measured on a CPU: convolutions run 1.5 to 2 times as fast so; towers without them do not mind
    layout = torch.channels_last
    vlm.model.visual.to(memory_format=layout)
    dtype = next(vlm.model.visual.parameters()).dtype
    done = 0
    for images, decoding in loader:
        if isinstance(images, _Problem):
            raise UserError(
                images.reason,
                "Restore the file, or run `dvc repro corpus` to take it as it is",
                file=images.source.path,
            )
        seconds.decode += decoding
        start = time.perf_counter()
        with torch.inference_mode():
            images = images.to(vlm.device, dtype, non_blocking=True, memory_format=layout)  # (n, 3, H, W)
            features = vlm.model.encode_image(images)  # (n, D)
            features = normalize(features.float(), dim=-1).cpu()
        seconds.forward += time.perf_counter() - start
        if not features.isfinite().all():
            bad = int((~features.isfinite()).any(1).nonzero()[0])
            raise UserError(
                "the image's feature is not finite",
                "Set vlm.precision to fp32, or check the model's weights",
                file=sources[done + bad].path,
            )
        done += len(features)
        yield features.numpy()


def file_features(vlm: Vlm, files: Sequence[Path], params: Params, cache: Path) -> np.ndarray:
    """L2-normalised features (N, D) of the files, in their order, of `embed.dtype`.

    Args:
        cache: the folder of features that the stage `embed` uses too.

    Raises:
        UserError: a file cannot be read or decoded, or its feature is not finite.
    """
    from PIL import __version__

    made_by = {**vlm.identity, "decoder": f"Pillow {__version__}", "pixels": RULES}  # as in the stage `embed`
    known = FeatureCache(cache, made_by, vlm.dimension, params.embed.dtype)
    with ThreadPoolExecutor(params.speed.workers) as pool:
        hashes = list(tqdm(pool.map(sha256_file, files), "read", len(files), unit="image", disable=None))
    missing = {key: file for key, file in zip(hashes, files, strict=True) if key not in known}
    limit = params.corpus.max_pixels
    sources = [Source(file, key, limit) for key, file in sorted(missing.items())]
    with tqdm(total=len(sources), unit="image", desc="embed", disable=None) as progress:
        for start in range(0, len(sources), _PART_ROWS):
            part = sources[start : start + _PART_ROWS]
            vectors = np.concatenate(list(_embedded(vlm, part, params, progress)))
            known.add([source.sha256 for source in part], vectors)
    return np.concatenate(list(known.blocks(hashes)))


def _embedded(vlm: Vlm, sources: Sequence[Source], params: Params, progress: tqdm) -> Iterator[np.ndarray]:
    speed = params.speed
    try:
        for vectors in embed_images(
            vlm, sources, batch=speed.embed_batch, workers=speed.workers, seconds=Seconds()
        ):
            progress.update(len(vectors))
            yield vectors
    except UserError as error:
        raise UserError(
            error.problem.reason,
            "Restore the file as it was published; where the feature is at fault, set vlm.precision to fp32",
            file=error.problem.file,
        ) from None
