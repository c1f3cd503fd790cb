"""The state of a training run: one file, replaced as a whole, from which a killed run continues.

The file stays when the run has ended: if the output was deleted, the same command writes it again at once.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pipeline.base.files import replacing


def save(path: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write the state of a run; after a kill the file is the old one or the new one.

    Args:
        settings: plain values that decide the result, among them `steps`, the length of the run.
        state: what the run continues from, among it `step`, the number of steps done.
    """
    with replacing(path) as temporary:
        torch.save({"settings": dict(settings), **state}, temporary)


def load(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in the file; None if there is no file, or one of a run with other settings that has ended.

    Raises:
        SystemExit: the file is of a run with other settings that has not ended.
    """
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    old = state["settings"]
    changed = sorted(key for key in old.keys() | settings.keys() if old.get(key) != settings.get(key))
    if not changed:
        return state
    if int(state["step"]) >= int(old["steps"]):
        return None
    differences = "; ".join(f"{key} was {old.get(key)}, is {settings.get(key)}" for key in changed)
    raise SystemExit(f"{path} is the state of another run ({differences}): delete it to start again")
