"""One tuning run on several processes, as `torchrun` starts them: each takes its share of every batch.

Features and model are small beside the activations, so every process holds all of them. Gradients are summed
after each backward pass, and every process makes the same step. The first one
validates for all: on machines that differ, another one could end at another epoch.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pipeline.base.errors import UserError, of_the_machine

# the first process may wait for its locks meanwhile; torchrun sees which process has ended
_PATIENCE = timedelta(days=7)
T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """This process among `count`."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """The rows of a batch that this process computes."""
        return rows[self.rank :: self.count]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Give every parameter the sum of all processes' gradients."""
        if self.count == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            with _together():
                dist.all_reduce(parameter.grad)

    def sum(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        value = value.detach().clone()
        if self.count > 1:
            with _together():
                dist.all_reduce(value)
        return value

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, on all processes."""
        made = [make() if self.first else None]
        if self.count > 1:
            with _together():
                dist.broadcast_object_list(made)
        return cast(T, made[0])

    def agree(self, value: str) -> bool:
        """Whether all processes have the same value."""
        values: list[str | None] = [value] * self.count
        if self.count > 1:
            with _together():
                dist.all_gather_object(values, value)
        return len(set(values)) == 1


@contextmanager
def joined(device: str) -> Iterator[Workers]:
    """The workers of this run: those that `torchrun` started, or this process alone.

    Args:
        device: cpu or cuda; on CUDA each process takes the GPU of its local rank.

    Raises:
        UserError: there are more processes than GPUs, or another process has ended.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    gpu = _own_gpu() if device == "cuda" else None
    with _together():
        dist.init_process_group("gloo" if gpu is None else "nccl", timeout=_PATIENCE, device_id=gpu)
    yield Workers(dist.get_rank(), dist.get_world_size())
    with _together():
        dist.barrier()
    dist.destroy_process_group()  # not after an error: it may wait for those that still compute


def _own_gpu() -> torch.device:
    own, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if own >= count:
        reason = f"there are more processes than GPUs on this machine, which has {count}"
        remedy = "Start as many as it has GPUs, or set speed.device to cpu"
        raise UserError(reason, remedy, field="--nproc-per-node", value=os.environ.get("LOCAL_WORLD_SIZE"))
    torch.cuda.set_device(own)
    return torch.device("cuda", own)


@contextmanager
def _together() -> Iterator[None]:
    """Around what all processes do together: it fails here if it fails elsewhere."""
    try:
        yield
    except RuntimeError as error:
        if of_the_machine(error):  # as memory of this GPU, which is noticed only here
            raise
        reason = f"another process of this tuning has ended: {' '.join(str(error).split())}"
        raise UserError(reason, "Read its lines above, or torchrun's list below") from error
