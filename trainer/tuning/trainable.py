"""What of a model is tuned: its text tower, the last blocks of it, or adapters; never the vision side.

Adapters are low-rank (LoRA, Hu et al., ICLR 2022). While they are there a matrix W acts as W + up down;
`merge_adapters` makes that its value, so that what is saved is a plain model.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

from pipeline.base.errors import UserError

_NOT_TEXT = ("visual.", "logit_scale", "logit_bias")


def select_trainable(model: Any, trainable: str) -> dict[str, nn.Parameter]:
    """Freeze the whole model but the parameters to tune, and return these by name.

    Args:
        model: an open_clip model.
        trainable: `all` for the text tower, `last:N` for its last N blocks and what follows them, `lora:R`
            for adapters of rank R, which are put on here and have to be merged afterwards.

    Raises:
        UserError: the text tower is not one of open_clip's own, or has fewer blocks than N; or it has no
            matrix to adapt.
    """
    if trainable.startswith("lora:"):
        return _adapters(model, int(trainable.removeprefix("lora:")))
    chosen = {name for name, _ in model.named_parameters() if not name.startswith(_NOT_TEXT)}
    if trainable != "all":
        chosen = _last_blocks(model, chosen, int(trainable.removeprefix("last:")), trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    return {name: parameter for name, parameter in model.named_parameters() if name in chosen}


def _adapters(model: Any, rank: int) -> dict[str, nn.Parameter]:
    model.requires_grad_(False)
    if not add_adapters(model, rank):
        raise UserError(
            "the text tower has no matrix to adapt",
            "Set it to all",
            file="params.yaml",
            field="tune.trainable",
            value=f"lora:{rank}",
        )
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def parameter_groups(parameters: dict[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Groups for AdamW: matrices decay, vectors and scalars (norms, biases) do not."""
    return [
        {"params": [p for p in parameters.values() if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters.values() if p.ndim < 2], "weight_decay": 0.0},
    ]


def text_state(model: Any) -> dict[str, Tensor]:
    """Every tensor of the model's state but those of its vision tower."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith("visual.")}


def _last_blocks(model: Any, names: set[str], count: int, trainable: str) -> set[str]:
    prefix = "text." if hasattr(model, "text") else ""
    tower = model.text if prefix else model
    blocks = getattr(getattr(tower, "transformer", None), "resblocks", None)
    if blocks is None or count > len(blocks):
        raise UserError(
            "the text tower has no such blocks to choose from"
            if blocks is None
            else f"the text tower has {len(blocks)} blocks",
            "Set it to all" if blocks is None else f"Use all, or last:1 to last:{len(blocks)}",
            file="params.yaml",
            field="tune.trainable",
            value=trainable,
        )
    kept = [f"{prefix}transformer.resblocks.{place}." for place in range(len(blocks) - count, len(blocks))]
    kept += [f"{prefix}ln_final.", f"{prefix}text_projection"]
    return {name for name in names if name.startswith(tuple(kept))}


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
