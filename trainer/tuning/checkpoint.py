"""The checkpoint of a tuning run after an epoch: one safetensors file, replaced as a whole, no pickle.

It holds a hash of all that it holds: one that is damaged is set aside, and the run begins again.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import refuse_odd
from pipeline.base.files import replacing, set_aside

FILE_NAME = "state.safetensors"
_PREFIX = "optimizer."


def save_checkpoint(folder: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Replace the folder's checkpoint.

    Args:
        tensors: by name.
        record: anything that JSON can hold.
    """
    save_sealed(folder / FILE_NAME, tensors, record)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and record of the folder's checkpoint, or None where there is none or it is damaged."""
    return load_sealed(folder / FILE_NAME)


def save_sealed(path: Path, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
    """Replace a file of tensors and a record, with a hash over both."""
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    text = json.dumps(record)
    with replacing(path) as temporary:
        save_file(copies, temporary, metadata={"record": text, "sha256": _seal(path, copies, text)})


def load_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save_sealed` wrote; None where there is no file, or a damaged one, which is then set aside."""
    if not os.path.lexists(path):
        return None
    try:
        refuse_odd(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        if metadata["sha256"] == _seal(path, tensors, metadata["record"]):
            return tensors, json.loads(metadata["record"])
    except MemoryError:
        raise
    except Exception:  # safetensors and torch raise many kinds on damaged bytes
        pass
    set_aside(path)
    return None


def _seal(path: Path, tensors: dict[str, Tensor], record: str) -> str:
    """A hash of all that a file holds, and of its name: what another run left does not fit here."""
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}\n{record}".encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimizer as named tensors."""
    return {
        f"{_PREFIX}{index}.{key}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Load what `optimizer_tensors` returned into an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_PREFIX):
            index, key = name.removeprefix(_PREFIX).split(".", 1)
            state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
