"""What holds while a command runs: its locks, and the guard that ends what it started."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipeline.base.guard import guarded
from pipeline.base.paths import Paths
from pipeline.base.run_lock import run_locks

_TABLES = ("corpus", "pairs", "interpret", "caption", "embed")
_READS = {  # what a command reads, by the stages that write it
    "corpus": (),
    "pairs": ("corpus",),
    "interpret": ("corpus",),
    "caption": ("corpus", "pairs"),
    "embed": ("corpus",),
    "tune": _TABLES,
    "evaluate": (*_TABLES, "tune"),
    "report": (*_TABLES, "tune", "evaluate"),
    "study": _TABLES,
    "benchmark": (),
    "export": ("tune", "evaluate"),
    "sheet": (*_TABLES, "tune", "evaluate"),
    "index": ("corpus", "embed"),
    "prune": ("pairs", "interpret", "caption"),
}
_OF_A_DATASET = ("tune", "evaluate")  # stages with outputs for each dataset


@contextmanager
def running(
    paths: Paths, command: str, name: str | None = None, datasets: Sequence[str] = ()
) -> Iterator[None]:
    """Run a command in here: alone with its output, and with an end for all that it starts.

    Args:
        name: the dataset, or the benchmark.
        datasets: those that a command without a name reads.
    """
    guarded()
    if int(os.environ.get("RANK", "0")):  # of `torchrun`; the first process holds the locks
        yield
        return
    names = [name] if name else datasets
    reads = [
        output
        for stage in _READS[command]
        for output in ([f"{stage}/{each}" for each in names] if stage in _OF_A_DATASET else [stage])
    ]
    writes = [f"{command}/{name}" if name else command]
    with run_locks(paths.root / ".lempo/locks", reads, writes):
        yield
