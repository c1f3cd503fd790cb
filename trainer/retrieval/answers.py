"""What is right, what is out of the running: per query, as indices into the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1  # pads index rows


@dataclass(frozen=True)
class Answers:
    """Right answers of Q queries in a gallery of N images.

    Attributes:
        target: int64 (Q,), the answer that the loss pulls towards; one of `right`.
        right: int64 (Q, R), every right answer, padded with -1.
        removed: int64 (Q,), the image that is no candidate (the reference), -1 where every image is one.
        gallery_size: N.
    """

    target: Tensor
    right: Tensor
    removed: Tensor
    gallery_size: int

    def __len__(self) -> int:
        return len(self.target)

    def rows(self, rows: Tensor | slice) -> "Answers":
        """The answers of some queries."""
        return Answers(self.target[rows], self.right[rows], self.removed[rows], self.gallery_size)

    def to(self, device: torch.device | str) -> "Answers":
        """The same answers on another device."""
        return Answers(
            self.target.to(device), self.right.to(device), self.removed.to(device), self.gallery_size
        )

    def right_mask(self) -> Tensor:
        """bool (Q, N): true where an image answers the query."""
        return index_mask(self.right, self.gallery_size)

    def removed_mask(self) -> Tensor:
        """bool (Q, N): true where an image is no candidate."""
        return index_mask(self.removed[:, None], self.gallery_size)

    def ignored_mask(self) -> Tensor:
        """bool (Q, N): true where an image is no negative and not the target.

        These are the removed image and the right answers beside the target.
        """
        others = torch.where(self.right == self.target[:, None], NONE, self.right)
        return index_mask(torch.cat([others, self.removed[:, None]], 1), self.gallery_size)


def index_mask(index: Tensor, size: int) -> Tensor:
    """bool (B, size) that is true at the indices (B, R) of each row; -1 marks nothing."""
    mask = torch.zeros(len(index), size + 1, dtype=torch.bool, device=index.device)
    mask.scatter_(1, torch.where(index < 0, size, index), True)
    return mask[:, :size]


def make_answers(
    target: Sequence[int], right: Sequence[Sequence[int]], removed: Sequence[int], gallery_size: int
) -> Answers:
    """Answers from Python lists, one entry a query; a removed image is no right answer.

    Raises:
        ValueError: a query has no right answer left, or its target is not one of them.
    """
    kept = [sorted({*row} - {out}) for row, out in zip(right, removed, strict=True)]
    for place, (aim, row) in enumerate(zip(target, kept, strict=True)):
        if aim not in row:
            raise ValueError(f"query {place}: the target is not among the right answers that are candidates")
    width = max((len(row) for row in kept), default=1)
    padded = torch.tensor([row + [NONE] * (width - len(row)) for row in kept], dtype=torch.int64)
    return Answers(
        torch.tensor(target, dtype=torch.int64),
        padded.reshape(len(kept), width),
        torch.tensor(removed, dtype=torch.int64),
        gallery_size,
    )
