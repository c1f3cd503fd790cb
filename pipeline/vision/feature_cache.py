"""Image features stored between runs, by the model and settings that made them and by the image's bytes.

A part is two files, written once: `<name>.vectors.npy` (N, D), then `<name>.sha256.npy` (N, 32). A part with
one file does not count, so a kill loses at most the part that is being written. A part is named by the hash
of what it holds. One that is damaged is set aside, and its images are embedded again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.base.errors import refuse_odd
from pipeline.base.files import hash_is_name, replacing, set_aside
from pipeline.base.storage import remove_leftovers

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
        self.damaged = 0  # parts that were set aside
        if self.folder.is_dir():  # a writer that was killed at its very end is followed by none
            remove_leftovers(self.folder)
        for path in sorted(self.folder.glob(f"*{_KEYS}")):
            self._open(path)

    def _open(self, path: Path) -> None:
        file = path.with_name(path.name.removesuffix(_KEYS) + _VECTORS)
        try:
            keys, vectors = _loaded(path), _loaded(file, mmap_mode="r")
            if keys.shape != (len(keys), 32) or keys.dtype != np.uint8:
                raise ValueError("the hashes are damaged")
            if vectors.dtype != self.dtype or vectors.shape != (len(keys), self.dimension):
                raise ValueError("the features are damaged")
            if hash_is_name(path) and path.name != _name(keys, vectors) + _KEYS:
                raise ValueError("the content is not what was written")
        except ValueError:
            self.damaged += 1
            for damaged in filter(os.path.lexists, (path, file)):
                set_aside(damaged)
            return
        self._row |= {key.tobytes(): (len(self._parts), row) for row, key in enumerate(keys)}
        self._parts.append(vectors)

    def __contains__(self, sha256: str) -> bool:
        return bytes.fromhex(sha256) in self._row

    def add(self, sha256: Sequence[str], vectors: np.ndarray) -> None:
        """Store features (N, D) of images with these hashes as one part."""
        keys = np.frombuffer(bytes.fromhex("".join(sha256)), dtype=np.uint8).reshape(-1, 32)
        vectors = np.ascontiguousarray(vectors, self.dtype)
        name = _name(keys, vectors)
        with replacing(self.folder / (name + _VECTORS)) as temporary, open(temporary, "wb") as file:
            np.save(file, vectors, allow_pickle=False)
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


def _loaded(path: Path, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """An array of a file.

    Raises:
        ValueError: it is missing or damaged.
    """
    try:
        refuse_odd(path)
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # numpy parses the header as Python, which fails in many ways
        raise ValueError(str(error)) from None


def _name(keys: np.ndarray, vectors: np.ndarray) -> str:
    """Hex sha256 of the hashes and the features of a part."""
    digest = hashlib.sha256(np.ascontiguousarray(keys).data)
    for start in range(0, len(vectors), _BLOCK):
        digest.update(np.ascontiguousarray(vectors[start : start + _BLOCK]).data)
    return digest.hexdigest()
