"""CLIP4Cir's combiner network (Baldrati et al., CVPR Workshops 2022), on frozen features.

As published it reads an image and a text; the wide one reads an image and several other features.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu


class Combiner(nn.Module):
    """normalise(output(hidden) + s text + (1 - s) image), s learned from both.

    Widths and dropout as published: projections of 4 D, hidden layers of 8 D, dropout 0.5.

    Args:
        dimension: D of both features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        projection, hidden = 4 * dimension, 8 * dimension
        self.project_text = nn.Linear(dimension, projection)
        self.project_image = nn.Linear(dimension, projection)
        self.combine = nn.Linear(2 * projection, hidden)
        self.output = nn.Linear(hidden, dimension)
        self.balance = nn.Sequential(
            nn.Linear(2 * projection, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, 1), nn.Sigmoid()
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """(B, D), L2-normalised, of image and text features (B, D)."""
        by_text = self.dropout(relu(self.project_text(text)))
        by_image = self.dropout(relu(self.project_image(image)))
        both = torch.cat([by_text, by_image], -1)  # (B, 8D)
        share = self.balance(both)  # (B, 1)
        combined = self.output(self.dropout(relu(self.combine(both))))
        return normalize(combined + share * text + (1 - share) * image, dim=-1)


class WideCombiner(nn.Module):
    """normalise(output(hidden) + sum_k s_k x_k), the shares s learned from all features; their sum is 1.

    With two features it is the published combiner, whose share is the sigmoid of one number.

    Args:
        dimension: D of all features.
        inputs: K, how many there are.
    """

    def __init__(self, dimension: int, inputs: int) -> None:
        super().__init__()
        projection, hidden = 4 * dimension, 8 * dimension
        self.project = nn.ModuleList(nn.Linear(dimension, projection) for _ in range(inputs))
        self.combine = nn.Linear(inputs * projection, hidden)
        self.output = nn.Linear(hidden, dimension)
        self.balance = nn.Sequential(
            nn.Linear(inputs * projection, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, inputs),
            nn.Softmax(dim=-1),
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, *features: Tensor) -> Tensor:
        """(B, D), L2-normalised, of K features (B, D)."""
        projected = [
            self.dropout(relu(project(x))) for project, x in zip(self.project, features, strict=True)
        ]
        together = torch.cat(projected, -1)  # (B, 4KD)
        shares = self.balance(together)  # (B, K)
        combined = self.output(self.dropout(relu(self.combine(together))))
        return normalize(combined + torch.einsum("bk,kbd->bd", shares, torch.stack(features)), dim=-1)
