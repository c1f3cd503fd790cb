"""What is right for each query and what is no candidate, as indices into the gallery."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NONE = -1  # pads rows of indices


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
        target, right, removed = (rows.to(device) for rows in (self.target, self.right, self.removed))
        return Answers(target, right, removed, self.gallery_size)

    def right_mask(self) -> Tensor:
        """bool (Q, N): true where an image answers the query."""
        return index_mask(self.right, self.gallery_size)

    def removed_mask(self) -> Tensor:
        """bool (Q, N): true where an image is no candidate."""
        return index_mask(self.removed[:, None], self.gallery_size)

    def ignored(self) -> Tensor:
        """int64 (Q, R + 1), padded with -1: the images that are neither the target nor a negative.

        These are the right answers beside the target and the removed image.
        """
        others = torch.where(self.right == self.target[:, None], NONE, self.right)
        return torch.cat([others, self.removed[:, None]], 1)

    def ignored_mask(self) -> Tensor:
        """bool (Q, N): true at the images of `ignored`."""
        return index_mask(self.ignored(), self.gallery_size)


def index_mask(index: Tensor, size: int) -> Tensor:
    """bool (B, size) that is true at the indices (B, R) of each row; -1 marks nothing."""
    mask = torch.zeros(len(index), size + 1, dtype=torch.bool, device=index.device)
    mask.scatter_(1, torch.where(index < 0, size, index), True)
    return mask[:, :size]


def pad_rows(rows: Sequence[Sequence[int]], least: int = 0) -> Tensor:
    """int64 (Q, R): rows of indices, padded with -1; R is the length of the longest, and at least `least`."""
    width = max([least, *map(len, rows)])
    padded = [[*row, *[NONE] * (width - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width)


def make_answers(
    target: Sequence[int], right: Sequence[Sequence[int]], removed: Sequence[int], gallery_size: int
) -> Answers:
    """Answers from Python lists, one entry for each query; a removed image is no right answer.

    Raises:
        ValueError: a query has no right answer left, or its target is not one of them.
    """
    candidates = [sorted({*row} - {image}) for row, image in zip(right, removed, strict=True)]
    for query, row in enumerate(candidates):
        if target[query] not in row:
            raise ValueError(f"query {query}: the target is not among the right answers that are candidates")
    return Answers(
        torch.tensor(target, dtype=torch.int64),
        pad_rows(candidates, least=1),
        torch.tensor(removed, dtype=torch.int64),
        gallery_size,
    )
