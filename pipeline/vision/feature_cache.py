"""Image features stored between runs, by the model and settings that made them and by the image's bytes.

A part is two files, written once: `<name>.vectors.npy` (N, D), then `<name>.sha256.npy` (N, 32). A part with
one file does not count, so a kill loses at most the part that is being written.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
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
        self._row: dict[bytes, tuple[int, int]] = {}  # sha256 -> part, row
        for path in sorted(self.folder.glob(f"*{_KEYS}")):
            self._open(path)

    def _open(self, path: Path) -> None:
        try:
            keys = np.load(path, allow_pickle=False)
            vectors = np.load(
                path.with_name(path.name.removesuffix(_KEYS) + _VECTORS), mmap_mode="r", allow_pickle=False
            )
        except (OSError, ValueError, EOFError):
            return  # a damaged part does not count
        if vectors.dtype != self.dtype or vectors.shape != (len(keys), self.dimension):
            return
        self._row |= {key.tobytes(): (len(self._parts), row) for row, key in enumerate(keys)}
        self._parts.append(vectors)

    def __contains__(self, sha256: str) -> bool:
        return bytes.fromhex(sha256) in self._row

    def add(self, sha256: Sequence[str], vectors: np.ndarray) -> None:
        """Store features (N, D) of images with these hashes as one part."""
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
            keys = [self._row[bytes.fromhex(key)] for key in sha256[start : start + _BLOCK]]
            parts, rows = np.array(keys).T
            block = np.empty((len(keys), self.dimension), self.dtype)
            for part in np.unique(parts):
                block[parts == part] = self._parts[part][rows[parts == part]]
            yield block
