"""Weights and mixture that are learned with the encoder (`method.choose: learned`)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.weights import Choice

RATE_FACTOR = 30.0  # of the encoder's learning rate: a handful of numbers that have far to go
_LEAST = 1e-3  # a share of 0 could never grow


class LearnedChoice(nn.Module):
    """Softmax of free numbers, so that weights and shares sum to 1 and keep their signs.

    Args:
        initial: where they start, the sizes of shares over their sum; shares of 0 start at a thousandth.
    """

    signs: Tensor

    def __init__(self, initial: Choice) -> None:
        super().__init__()
        self.weights = nn.Parameter(_logarithms(initial.weights))
        self.mixture = nn.Parameter(_logarithms([abs(share) for share in initial.mixture]))
        signs = [-1.0 if share < 0 else 1.0 for share in initial.mixture]
        self.register_buffer("signs", torch.tensor(signs), persistent=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Weights (3,) and mixture (3,); gradients flow."""
        return self.weights.softmax(0), self.signs * self.mixture.softmax(0)

    def choice(self) -> Choice:
        """What they are now."""
        weights, mixture = (tuple(part.detach().cpu().tolist()) for part in self())
        return Choice(weights, mixture)


def _logarithms(shares: Sequence[float]) -> Tensor:
    return torch.tensor(shares).clamp(min=_LEAST).log()
