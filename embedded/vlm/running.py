"""How a training runs: arguments, device, the loop over steps, its lines of progress, its state file.

A batch is a function of seed and step alone (`embedded.vlm.batches`), so that the state of a run is its
weights, its optimiser and the number of steps done: no random state is left over between two steps.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from embedded import state
from pipeline.base.code import code_hash

REPORT_EVERY = 25  # steps
ROOMS = ("embedded/state.py", "embedded/vlm", "embedded/world", "pipeline/graph")
# arguments that say where and how fast, not what
FREE = {"out", "validation", "state", "save_every", "evaluate_every", "device", "threads"}

Figures = dict[str, torch.Tensor]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of any training."""
    cores = len(os.sched_getaffinity(0))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default=device)
    parser.add_argument("--threads", type=int, default=cores)
    parser.add_argument("--state", type=Path, help="file to go on from after a kill; default: OUT.state")
    parser.add_argument("--save-every", type=int, default=200, help="steps between two states")


def prepare(options: argparse.Namespace) -> torch.device:
    """Set threads and deterministic sums; returns the device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same sums every time on cuda
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # captions are made in a forked process
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    options.state = options.state or options.out.with_name(f"{options.out.name}.state")
    return torch.device(options.device)


def arguments_of(options: argparse.Namespace) -> dict[str, str]:
    """What has to be equal for a run to go on: arguments that change the model, files by their content."""
    content = {"data": "graphs.jsonl", "init": "open_clip_model.safetensors"}
    found = {"sources": code_hash(*ROOMS)}
    for name, value in vars(options).items():
        if name in content and value:
            found[name] = hashlib.sha256((value / content[name]).read_bytes()).hexdigest()
        elif name not in FREE:
            found[name] = str(value)
    return found


def to_device(batch: Any, device: torch.device) -> Any:
    """A named tuple of tensors, or of such tuples, on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    return type(batch)(*(to_device(part, device) for part in batch))


def save_state(path: Path, arguments: dict[str, str], step: int, parts: dict[str, Any]) -> None:
    """Write what `parts` hold after `step` steps."""
    states = {name: part.state_dict() for name, part in parts.items()}
    state.save(path, arguments, {"step": step, "parts": states})


def load_state(path: Path, arguments: dict[str, str], parts: dict[str, Any]) -> int:
    """Fill `parts` from the file, if there is one; returns the steps done.

    Raises:
        SystemExit: the file is of a run with other arguments or sources.
    """
    saved = state.load(path, arguments)
    if saved is None:
        return 0
    for name, part in parts.items():
        part.load_state_dict(saved["parts"][name])
    return saved["step"]


def train_steps(
    options: argparse.Namespace,
    batches: Dataset,
    parts: dict[str, Any],
    train_step: Callable[[Any, float], Figures],
    after: Callable[[int], None] = lambda step: None,
) -> None:
    """Run the steps that are left, and keep the state of `parts` in `options.state`.

    Args:
        batches: `batches[step]` for steps from 0; made ahead in a process of their own.
        train_step: given a batch and the share of the run that is done, returns figures to print.
        after: called with the number of steps done, after each.
    """
    arguments = arguments_of(options)
    first = load_state(options.state, arguments, parts)
    if first:
        print(f"going on from step {first} ({options.state})", flush=True)
    ahead: Iterable[Any] = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, options.steps),
        num_workers=1,
        prefetch_factor=4,
        pin_memory=options.device.startswith("cuda"),
    )
    log: Figures = {}
    start = reported = time.monotonic()
    for step, batch in enumerate(ahead, first + 1):
        for name, value in train_step(batch, (step - 1) / options.steps).items():
            log[name] = log.get(name, 0) + value
        if step % REPORT_EVERY == 0 or step == options.steps:
            steps = step - max(first, (step - 1) // REPORT_EVERY * REPORT_EVERY)
            means = {name: round(total.item() / steps, 3) for name, total in log.items()}
            now = time.monotonic()
            rate = steps * options.batch / (now - reported)
            left = (now - start) / (step - first) * (options.steps - step)
            minutes, seconds = divmod(round(left), 60)
            pace = f"{rate:.0f} images/s, {minutes}:{seconds:02} left"
            print(f"step {step}/{options.steps} {pace}", json.dumps(means), flush=True)
            log, reported = {}, now
        after(step)
        if step % options.save_every == 0 or step == options.steps:
            save_state(options.state, arguments, step, parts)
