"""Two runs at once: one that would write what another reads or writes waits for it, and says so.

A lock is a file in `.lempo/locks` for each output, locked by the kernel: read-locked by those that read the
output, locked alone by the one that writes it. It is free as soon as its holder has ended.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.base.storage import storage_errors, try_lock

_AGAIN_S = 0.2
log = logging.getLogger(__name__)


@contextmanager
def run_locks(folder: Path, reads: Iterable[str], writes: Iterable[str]) -> Iterator[None]:
    """Hold the locks of these outputs, after waiting for those who hold them now.

    Args:
        folder: of the lock files.
        reads: names of outputs that must stay as they are.
        writes: names of outputs that nobody else may read or write.
    """
    wanted = {**dict.fromkeys(reads, fcntl.LOCK_SH), **dict.fromkeys(writes, fcntl.LOCK_EX)}
    with ExitStack() as stack:
        for name, mode in sorted(wanted.items()):  # one order for all: none waits in a circle
            path = folder / f"{name.replace('/', '.')}.lock"
            with storage_errors(path):
                folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            stack.callback(os.close, descriptor)
            locked = try_lock(descriptor, mode)
            if locked is None:
                log.warning("%s: this file system has no locks; do not start two runs at once here", folder)
                break
            if not locked:
                log.warning(
                    "the output of %s is in use by %s. This run waits until that one has ended; Ctrl-C ends "
                    "the wait, and `kill` with the number ends the other",
                    name,
                    _holders(descriptor) or "a run on another machine",
                )
                while try_lock(descriptor, mode) is False:  # a blocking call can miss a signal just before it
                    time.sleep(_AGAIN_S)
        yield


def _holders(descriptor: int) -> str:
    """Process numbers and commands of those on this machine that hold the lock, by Linux's own list."""
    status = os.fstat(descriptor)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        pids = sorted({int(line[4]) for line in fields if line[1] != "->" and line[5] == file})
    except (OSError, ValueError, IndexError):
        return ""
    return " and ".join(f"process {pid} ({_command(pid)})" for pid in pids if pid > 0)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "it has just ended"
    return " ".join(" ".join(words).split())
