"""Image features kept between runs, by what made them and by the bytes of the image.

A part is two files, written once: `<name>.vectors.npy` (N, D), then `<name>.sha256.npy` (N, 32). Only a part
with both files counts, so a kill at any moment loses at most the part being written.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.files import replacing

_KEYS, _VECTORS = ".sha256.npy", ".vectors.npy"
_BLOCK = 8192


class FeatureCache:
    """Features of one model, preprocessing, decoder and dtype."""

    def __init__(self, folder: Path, made_by: Mapping[str, Any], dimension: int, dtype: str) -> None:
        """Open the cache below `folder`; `made_by` is everything that the features depend on."""
        key = json.dumps({**made_by, "dimension": dimension, "dtype": dtype}, sort_keys=True)
        self.folder = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
        self.dimension = dimension
        self.dtype = np.dtype(dtype)
        self._parts: list[np.ndarray] = []
        self._place: dict[bytes, tuple[int, int]] = {}
        for path in sorted(self.folder.glob(f"*{_KEYS}")):
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            keys = np.load(path, allow_pickle=False)
            vectors = np.load(
                path.with_name(path.name.removesuffix(_KEYS) + _VECTORS), mmap_mode="r", allow_pickle=False
            )
        except (OSError, ValueError, EOFError):
            return  # a damaged part is made again
        if vectors.dtype != self.dtype or vectors.shape != (len(keys), self.dimension):
            return
        part = len(self._parts)
        self._parts.append(vectors)
        self._place |= {key.tobytes(): (part, row) for row, key in enumerate(keys)}

    def __contains__(self, sha256: str) -> bool:
        return bytes.fromhex(sha256) in self._place

    def add(self, sha256: Sequence[str], vectors: np.ndarray) -> None:
        """Keep features (N, D) of images with these hashes as one part."""
        keys = np.frombuffer(bytes.fromhex("".join(sha256)), dtype=np.uint8).reshape(-1, 32)
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:32]
        with replacing(self.folder / (name + _VECTORS)) as temporary, open(temporary, "wb") as file:
            np.save(file, np.ascontiguousarray(vectors, self.dtype), allow_pickle=False)
        path = self.folder / (name + _KEYS)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.save(file, keys, allow_pickle=False)
        self._sync_folder()
        self._open(path)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def blocks(self, sha256: Sequence[str]) -> Iterator[np.ndarray]:
        """Arrays (n, D) that hold the features of these images, in their order.

        Raises:
            KeyError: an image is not in the cache.
        """
        for start in range(0, len(sha256), _BLOCK):
            places = [self._place[bytes.fromhex(key)] for key in sha256[start : start + _BLOCK]]
            block = np.empty((len(places), self.dimension), self.dtype)
            for part in {part for part, _ in places}:
                rows = [i for i, place in enumerate(places) if place[0] == part]
                block[rows] = self._parts[part][[places[i][1] for i in rows]]
            yield block


def distinct(hashes: Iterable[str]) -> list[str]:
    """Each hash once, sorted: an order that does not depend on datasets or names."""
    return sorted(set(hashes))
