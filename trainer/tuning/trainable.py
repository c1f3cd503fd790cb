"""Which parameters are tuned: the text tower, its last blocks, or adapters; never the vision side.

Adapters are low-rank (LoRA, Hu et al., ICLR 2022). With an adapter a matrix W acts as W + up down;
`merge_adapters` gives it that value, so that a plain model is saved.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

from pipeline.base.errors import parameter_error

_NOT_TEXT = ("visual.", "logit_scale", "logit_bias")
_FIELD = "tune.trainable"


def select_trainable(model: Any, trainable: str) -> dict[str, nn.Parameter]:
    """Freeze all parameters but those to tune, and return these by name.

    Args:
        model: an open_clip model.
        trainable: `all` for the text tower, `last:N` for its last N blocks and what follows them, `lora:R`
            for adapters of rank R, which are added here and must be merged afterwards.

    Raises:
        UserError: the text tower is not one of open_clip's own, or has fewer blocks than N; or it has no
            matrix to adapt.
    """
    if trainable.startswith("lora:"):
        model.requires_grad_(False)
        if not add_adapters(model, int(trainable.removeprefix("lora:"))):
            raise parameter_error("the text tower has no matrix to adapt", "Set it to all", _FIELD, trainable)
    else:
        prefixes = ("",) if trainable == "all" else _last_blocks(model, trainable)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(prefixes) and not name.startswith(_NOT_TEXT))
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameter_groups(parameters: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: matrices decay, vectors and scalars (norms, biases) do not."""
    return [
        {"params": [p for p in parameters.values() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters.values() if p.ndim < 2], "weight_decay": 0.0},
    ]


def _last_blocks(model: Any, trainable: str) -> tuple[str, ...]:
    """Prefixes of the names of the last blocks' parameters, and of what follows the blocks."""
    prefix = "text." if hasattr(model, "text") else ""
    tower = model.text if prefix else model
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None:
        raise parameter_error("the text tower is none of open_clip's own", "Set it to all", _FIELD, trainable)
    first = len(blocks) - int(trainable.removeprefix("last:"))
    if first < 0:
        remedy = f"Use all, or last:1 to last:{len(blocks)}"
        raise parameter_error(f"the text tower has {len(blocks)} blocks", remedy, _FIELD, trainable)
    names = [f"transformer.resblocks.{index}." for index in range(first, len(blocks))]
    return tuple(prefix + name for name in [*names, "ln_final.", "text_projection"])


class LowRank(nn.Module):
    """Maps a matrix W to W + up down; at the start that is W.

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
    """Add an adapter to every matrix of attention and linear layers outside the vision tower.

    Returns how many. Embeddings and the final projection get none.
    """
    matrices = [
        (module, name, matrix)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.MultiheadAttention) and not path.startswith("visual")
        for name, matrix in module.named_parameters(recurse=False)
        if matrix.ndim == 2
    ]
    for module, name, matrix in matrices:
        register_parametrization(module, name, LowRank(matrix.detach(), rank))
    return len(matrices)


@torch.no_grad()
def merge_adapters(model: nn.Module) -> None:
    """Add every adapter to its matrix, and remove the adapters."""
    for module in list(model.modules()):
        if is_parametrized(module):
            for name in list(cast(nn.ModuleDict, module.parametrizations)):
                remove_parametrizations(module, name, leave_parametrized=True)
