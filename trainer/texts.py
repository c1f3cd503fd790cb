"""The distinct texts of some queries, tokenised once, and their features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.vlm import Vlm, text_features, token_lengths

_LENGTH_STEP = 16  # texts whose lengths fall into one step are encoded together


@dataclass(frozen=True)
class Texts:
    """M distinct texts as tokens.

    Attributes:
        tokens: int32 (M, L), padded.
        lengths: int64 (M,), how many leading tokens the features can depend on.
        row_of: text -> row.
    """

    tokens: Tensor
    lengths: Tensor
    row_of: dict[str, int]

    @classmethod
    def of(cls, vlm: Vlm, texts: Sequence[str]) -> "Texts":
        """Tokenise each distinct text once."""
        distinct = list(dict.fromkeys(texts))
        tokens = vlm.tokenize(distinct)
        lengths = token_lengths(vlm.model, tokens)
        return cls(tokens.to(torch.int32), lengths, {text: row for row, text in enumerate(distinct)})

    def rows(self, texts: Sequence[str]) -> Tensor:
        """Rows, int64 (len(texts),), of texts that are among the distinct ones."""
        return torch.tensor([self.row_of[text] for text in texts], dtype=torch.int64)

    def encode(self, model: Any, rows: Tensor, batch: int | None = None) -> Tensor:
        """L2-normalised float32 features (len(rows), D) on the model's device; gradients flow.

        Texts of like length are encoded together and cut to the longest of them.

        Args:
            rows: int64, each row once.
            batch: texts at a time; None for all that are of like length.
        """
        device = next(model.parameters()).device
        order, groups = _length_groups(self.lengths[rows], batch)
        parts = []
        for group in groups:
            chosen = rows[group]
            cut = self.tokens[chosen, : int(self.lengths[chosen].max())]
            parts.append(text_features(model, cut.to(device, torch.int64)).float())
        return torch.cat(parts)[torch.argsort(order).to(device)]

    @torch.no_grad()
    def features(self, model: Any, rows: Tensor, batch: int) -> Tensor:
        """As `encode`, without gradients, and for rows in which a text may stand more than once."""
        distinct, inverse = rows.unique(return_inverse=True)
        encoded = self.encode(model, distinct, batch)
        return encoded[inverse.to(encoded.device)]


def _length_groups(lengths: Tensor, batch: int | None) -> tuple[Tensor, list[Tensor]]:
    """Places sorted by length, and the same cut into groups of like length and at most `batch` places."""
    order = torch.argsort(lengths, stable=True)
    steps = (lengths[order] - 1) // _LENGTH_STEP
    sizes = steps.unique_consecutive(return_counts=True)[1].tolist()
    return order, [piece for group in order.split(sizes) for piece in group.split(batch or len(group))]
