"""Low-rank adapters (LoRA, Hu et al., ICLR 2022) on the matrices of the text tower.

While they are there a matrix W acts as W + up down; `merge_adapters` makes that its value, so that what is
saved is a plain model.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations


class LowRank(nn.Module):
    """W to W + up down, which starts at W.

    Args:
        matrix: (rows, columns).
        rank: of the change.
    """

    def __init__(self, matrix: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = matrix.shape
        self.down = nn.Parameter(matrix.new_empty(rank, columns))
        self.up = nn.Parameter(matrix.new_zeros(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, matrix: Tensor) -> Tensor:
        return matrix + self.up @ self.down


def add_adapters(model: nn.Module, rank: int) -> int:
    """Put an adapter on every matrix of attention and linear layers outside the vision tower.

    Returns how many. Embeddings and the final projection have none.
    """
    found = [
        (module, name, matrix)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.MultiheadAttention) and not path.startswith("visual")
        for name, matrix in module.named_parameters(recurse=False)
        if matrix.ndim == 2
    ]
    for module, name, matrix in found:
        register_parametrization(module, name, LowRank(matrix.detach(), rank))
    return len(found)


@torch.no_grad()
def merge_adapters(model: nn.Module) -> None:
    """Give every matrix that has an adapter the value that it acts as, and take the adapters off."""
    for module in list(model.modules()):
        if is_parametrized(module):
            for name in list(cast(nn.ModuleDict, module.parametrizations)):
                remove_parametrizations(module, name, leave_parametrized=True)
