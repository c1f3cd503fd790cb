"""The same seed gives the same result on one machine with the same number of threads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch and use deterministic kernels inside the block; afterwards the former state is restored.

    Sums over threads are taken in an order that depends on their number, so results may differ in the last
    digits between machines.
    """
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS requires it
    own = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # else it starts every GPU
    with torch.random.fork_rng(own):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn_only)
