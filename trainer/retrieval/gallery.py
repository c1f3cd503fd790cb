"""The images of a gallery as they are stored, and their dot products with queries.

A gallery of float16 rows in a memory map may be larger than memory. So rows are read, made float32 and
normalised a block at a time, each time they are used.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_BLOCK = 1024  # images that are float32 at once; more fall out of the caches before their product


@dataclass(frozen=True)
class Gallery:
    """N images, whose features are L2-normalised as they are read.

    Attributes:
        vectors: (M, D), float16 or float32; a memory map, or a tensor on any device.
        index: int64 (N,), the row of each image.
    """

    vectors: np.ndarray | Tensor
    index: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> "Gallery":
        """The gallery of all rows (N, D)."""
        return cls(vectors, torch.arange(len(vectors), device=vectors.device))

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, images: Tensor | slice) -> Tensor:
        """float32 (..., D), the features of some images."""
        return _normalise(self._stored(images).float())  # a copy, whatever the type

    def blocks(self, size: int) -> Iterator[Tensor]:
        """float32 (n, D), the features of up to `size` images, in turn; each may overwrite the one before."""
        if isinstance(self.vectors, Tensor):
            yield from (self[start : start + size] for start in range(0, len(self), size))
            return
        dimension = self.vectors.shape[1]
        stored, read = np.empty((size, dimension), self.vectors.dtype), torch.empty(size, dimension)
        whole = _only_read(self.vectors)
        for index in self.index.split(size):
            count = len(index)
            first = int(index[0]) if count else 0
            if bool((index == torch.arange(first, first + count)).all()):
                rows = whole[first : first + count]
            else:
                self.vectors.take(index.numpy(), axis=0, out=stored[:count], mode="clip")  # others copy twice
                rows = torch.from_numpy(stored[:count])
            yield _normalise(read[:count].copy_(rows))

    def to(self, device: torch.device | str) -> "Gallery":
        """The same images on a device; the memory map stays where it is as long as that is a CPU."""
        if torch.device(device).type == self.device.type:
            return self
        return Gallery.of(self._stored(slice(None)).to(device))

    @property
    def device(self) -> torch.device:
        """Where the features are read to."""
        return self.index.device

    def _stored(self, images: Tensor | slice) -> Tensor:
        rows = self.index[images]
        if isinstance(self.vectors, Tensor):
            return self.vectors[rows]
        return torch.from_numpy(self.vectors[rows.numpy()])


def dot_products(queries: Tensor, gallery: Tensor | Gallery, out: Tensor | None = None) -> Tensor:
    """(B, N) of queries (B, D) and a gallery (N, D).

    Beside the result, memory holds one block of a stored gallery.

    Args:
        out: of at least B rows, the first of which are overwritten by the result. Gradients flow only without
            it, and only with a gallery in memory.
    """
    if isinstance(gallery, Tensor) and out is None:
        return queries @ gallery.T
    with torch.no_grad():
        products = queries.new_empty(len(queries), len(gallery)) if out is None else out[: len(queries)]
        if isinstance(gallery, Tensor):
            return torch.mm(queries, gallery.T, out=products)
        start = 0
        for block in gallery.blocks(_BLOCK):
            torch.mm(queries, block.T, out=products[:, start : start + len(block)])
            start += len(block)
        return products


def _only_read(vectors: np.ndarray) -> Tensor:
    """The same memory as a tensor, which nobody writes to: a memory map may not be writable."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(vectors)


def _normalise(features: Tensor) -> Tensor:
    """The same memory, with rows of length 1: rounded to float16 they are a little off."""
    return features.div_(features.norm(dim=-1, keepdim=True).clamp_min_(1e-12))
