"""A learned linear mix of features: what a single number for each of them can do."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from trainer.retrieval.answers import Answers
from trainer.tuning.heads import RATE_FACTOR, Chosen, Head, TextFeatures

_RATE = 10.0  # of the learning rate: these few numbers have to change much more than a network's


class LinearMix(nn.Module):
    """normalise(sum_k w_k x_k), each w_k learned from the same start; it may fall below 0.

    Args:
        inputs: K, the image and the texts.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.start = 1 / inputs
        self.changes = nn.Parameter(torch.zeros(inputs))

    @property
    def weights(self) -> Tensor:
        """w, (K,)."""
        return self.start + _RATE * self.changes

    def forward(self, *features: Tensor) -> Tensor:
        """(B, D), L2-normalised, of K features (B, D)."""
        return mixed(self.weights, *features)


class MixHead(Head):
    """Tunes the text tower as a linear mix of the image and several texts, learned with the tower.

    Args:
        texts: the inputs that are mixed with the image.
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        super().__init__()
        self.inputs = texts
        self.mix = LinearMix(1 + len(texts))

    def groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.mix.changes], "weight_decay": 0.0, "factor": RATE_FACTOR / _RATE}]

    def start(self, untuned: Chosen) -> Chosen:
        return untuned

    def forward(self, image: Tensor, text: TextFeatures) -> Tensor:
        return self.mix(image, *(text[name] for name in self.inputs))

    def choose(self, image: Tensor, text: TextFeatures, gallery: Tensor, answers: Answers) -> Chosen:
        names = ("image", *self.inputs)
        return {"shares": dict(zip(names, self.mix.weights.detach().cpu().tolist(), strict=True))}

    def queries(self, image: Tensor, text: TextFeatures, chosen: Chosen) -> Tensor:
        weights = torch.tensor([chosen["shares"][name] for name in ("image", *self.inputs)])
        return mixed(weights.to(image), image, *(text[name] for name in self.inputs))


def mixed(weights: Tensor, *features: Tensor) -> Tensor:
    """normalise(sum_k w_k x_k): (B, D) of weights (K,) and K features (B, D)."""
    return normalize(torch.einsum("k,kbd->bd", weights, torch.stack(features)), dim=-1)
