"""The state of a training run: one file, replaced as a whole, from which the run goes on.

It is kept when the run has ended: where its output was deleted, the same command writes it again at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.base.files import replacing


def save(path: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state of a run; a kill leaves the old file or the new.

    Args:
        settings: plain values, among them `steps`, how many the run is to have.
        state: what to go on from, among it `step`, how many are done.
    """
    with replacing(path) as temporary, open(temporary, "wb") as file:
        torch.save({"settings": dict(settings), **state}, file)


def load(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in the file; None where there is no file, or one of another run that came to its end.

    Raises:
        SystemExit: the file is of a run with other settings that has not ended.
    """
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    kept = state["settings"]
    other = sorted(key for key in kept.keys() | settings.keys() if kept.get(key) != settings.get(key))
    if other and int(state["step"]) >= int(kept["steps"]):
        return None
    if other:
        told = "; ".join(f"{key} was {kept.get(key)}, is {settings.get(key)}" for key in other)
        raise SystemExit(f"{path} is the state of another run ({told}): delete it to start anew")
    return state
