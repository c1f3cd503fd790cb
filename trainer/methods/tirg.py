"""TIRG: the image feature, gated by the text, plus a residual (Vo et al., CVPR 2019), on frozen features."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class Tirg(nn.Module):
    """normalise(w_g sigmoid(gate(image, text)) * image + w_r residual(image, text)).

    As published for feature vectors: batch norm and ReLU before the linear layers; w_g starts at 1,
    w_r at 10.

    Args:
        dimension: D of both features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        both = 2 * dimension
        self.gate = nn.Sequential(nn.BatchNorm1d(both), nn.ReLU(), nn.Linear(both, dimension))
        self.residual = nn.Sequential(
            nn.BatchNorm1d(both), nn.ReLU(), nn.Linear(both, both), nn.ReLU(), nn.Linear(both, dimension)
        )
        self.weights = nn.Parameter(torch.tensor([1.0, 10.0]))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """(B, D), L2-normalised, of image and text features (B, D)."""
        both = torch.cat([image, text], -1)  # (B, 2D)
        gated = self.weights[0] * torch.sigmoid(self.gate(both)) * image
        return normalize(gated + self.weights[1] * self.residual(both), dim=-1)
