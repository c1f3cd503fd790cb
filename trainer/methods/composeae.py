"""Composition in a complex space, like ComposeAE (Anwaar et al., WACV 2021), on frozen features.

The modification turns the image there: c = length(image) * exp(i angle(text)). Two maps bring c back: one of
c alone, and one that begins with a convolution over c, image and text. The networks are the published ones.
What is left out is what the published form trains beside retrieval: the reconstruction of both features, and
the loss that turns the target back into the reference.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

_CHANNELS, _WINDOWS = 64, 16  # of the convolution and of the maximum over its output


class ComposeAeLike(nn.Module):
    """normalise(w_c map(c) + w_v map(convolution(c, image, text))); w_c starts at 10, w_v at 1.

    Args:
        dimension: D of both features.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.windows = min(_WINDOWS, dimension)
        self.turns = nn.ModuleList(_Turn(dimension) for _ in range(2))
        self.plain = _back(2 * dimension, dimension)
        self.convolution = nn.Conv1d(5, _CHANNELS, 3, padding=1)
        self.convolved = _back(_CHANNELS * self.windows, dimension)
        self.weights = nn.Parameter(torch.tensor([10.0, 1.0]))

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """(B, D), L2-normalised, of image and text features (B, D)."""
        plain, convolved = (turn(image, text) for turn in self.turns)
        from_plain = self.plain(torch.cat(plain[2:], -1))
        channels = self.convolution(torch.stack([*convolved, image], 1))  # (B, 64, D)
        # the maximum of each window; the gradient of torch's own pooling is not deterministic on a GPU
        highest = [window.amax(-1) for window in channels.tensor_split(self.windows, -1)]
        from_convolved = self.convolved(torch.cat(highest, -1))
        return normalize(self.weights[0] * from_plain + self.weights[1] * from_convolved, dim=-1)


class _Turn(nn.Module):
    """The image turned by the text."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.angle = nn.Sequential(
            nn.BatchNorm1d(dimension),
            nn.Linear(dimension, dimension),
            nn.ReLU(),
            nn.Linear(dimension, dimension),
        )
        self.length = nn.Sequential(
            nn.BatchNorm1d(dimension),
            nn.Linear(dimension, dimension),
            nn.Dropout(0.5),
            nn.ReLU(),
            nn.Linear(dimension, dimension),
        )

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Length, angle, and the real and imaginary part of what they make: (B, D) each."""
        length, angle = self.length(image), self.angle(text)
        return length, angle, length * angle.cos(), length * angle.sin()


def _back(width: int, dimension: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, dimension),
        nn.ReLU(),
        nn.Linear(dimension, dimension),
    )
