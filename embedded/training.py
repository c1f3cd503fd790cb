"""What both trainings share: options, repeatable sums, lines of progress, and writing the model's folder."""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.base.code import code_hash
from pipeline.base.files import replacing

_SHARED_ROOMS = ("embedded/state.py", "embedded/training.py", "embedded/world", "pipeline/graph")

Figures = Mapping[str, float | torch.Tensor]


def add_options(parser: argparse.ArgumentParser, rate: float) -> None:
    """Add the options that every training has; `rate` is the default of the learning rate."""
    parser.add_argument("--out", type=Path, required=True, help="the model's folder; the state is OUT.state")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rate", type=float, default=rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))


def prepare(options: argparse.Namespace, warn_only: bool = False) -> None:
    """Set the number of threads and sums that are the same in every run; add `options.state`, a path.

    With `warn_only` an operation that has no deterministic form is a warning, not an error.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it CUDA's sums vary
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    options.state = options.out.with_name(f"{options.out.name}.state")


def settings_of(options: argparse.Namespace, names: Sequence[str], room: str) -> dict[str, Any]:
    """What must be equal for a run to continue: the named options, the code of the room and what it uses."""
    return {name: getattr(options, name) for name in names} | {"sources": code_hash(room, *_SHARED_ROOMS)}


class Progress:
    """Prints the means of figures since the line before, the speed and the time left, every `every` steps."""

    def __init__(self, step: int, steps: int, every: int, unit: str) -> None:
        self.first, self.steps, self.every, self.unit = step, steps, every, unit
        self.start = time.monotonic()
        self._begin(self.start)

    def _begin(self, now: float) -> None:
        self.since, self.count, self.size = now, 0, 0
        self.totals: dict[str, float | torch.Tensor] = {}

    def add(self, step: int, size: int, figures: Figures) -> None:
        """Take one step on `size` units; figures on a GPU are read only where a line is printed."""
        self.count, self.size = self.count + 1, self.size + size
        for name, value in figures.items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        if step % self.every and step < self.steps:
            return
        now = time.monotonic()
        means = " ".join(f"{name} {float(total) / self.count:.3f}" for name, total in self.totals.items())
        minutes, seconds = divmod(round((now - self.start) / (step - self.first) * (self.steps - step)), 60)
        speed = f"{self.size / (now - self.since):.0f} {self.unit}/s, {minutes}:{seconds:02} left"
        print(f"step {step}/{self.steps} {means}, {speed}", flush=True)
        self._begin(now)


def write_model(
    folder: Path,
    texts: Mapping[str, str],
    weights_file: str,
    weights: Mapping[str, torch.Tensor],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write the files of a model, weights as float16 safetensors; each file is replaced as a whole."""
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    halves = {
        name: (tensor.detach().half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in weights.items()
    }
    with replacing(folder / weights_file) as temporary:
        save_file(halves, temporary, metadata)
        temporary.chmod(0o644)
