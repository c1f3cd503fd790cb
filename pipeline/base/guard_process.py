"""The process that `guard.guarded` starts: `guard_process.py PID FOLDER`; the standard library is enough."""

import os
import re
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

_SHARED = b"/dev/shm/"
_NAMED = re.compile(rb"(?:sem\.loky-|torch_)(\d+)[-_]")  # joblib and PyTorch name theirs by their process
_PATIENCE_S = 30.0


def _wait_for_the_end(parent: int) -> None:
    with suppress(OSError, AttributeError):  # it has ended, or this system has no pidfd
        ended = os.pidfd_open(parent)
        if os.getppid() == parent:
            select.select([ended], [], [])
            return
    while os.getppid() == parent:
        time.sleep(0.5)


def _marked(folder: str) -> list[int]:
    """The processes of the run, but not Python's resource trackers: they end last and clean up."""
    mark, found = b"LEMPO_RUN=" + os.fsencode(folder), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        process = Path("/proc", entry)
        try:
            ours = mark in (process / "environ").read_bytes().split(b"\0") or any(
                _link(file) == folder for file in (process / "fd").iterdir()
            )
            if ours and b"resource_tracker" not in (process / "cmdline").read_bytes():
                found.append(int(entry))
        except OSError:
            continue
    return found


def _link(file: Path) -> str:
    try:
        return os.readlink(file)
    except OSError:
        return ""


def _shared_memory(pid: object) -> set[bytes]:
    """The files of shared memory that a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_bytes().splitlines()
    except OSError:
        return set()
    paths = {line[line.index(_SHARED) :] for line in lines if _SHARED in line}
    return {path for path in paths if not path.endswith(b"(deleted)")}


def _end(parent: int, folder: str) -> None:
    shared: set[bytes] = set()
    ours = {parent}
    deadline = time.monotonic() + _PATIENCE_S
    empty = 0
    while empty < 2 and time.monotonic() < deadline:
        marked = _marked(folder)
        empty = 0 if marked else empty + 1
        ours.update(marked)
        shared |= set().union(*map(_shared_memory, marked))
        for pid in marked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    others = (_shared_memory(entry) for entry in os.listdir("/proc") if entry.isdigit())
    for path in shared.difference(*others) if shared else ():
        with suppress(OSError):
            os.unlink(path)
    for name in os.listdir(_SHARED) if os.path.isdir(_SHARED) else ():
        if (found := _NAMED.match(name)) and int(found[1]) in ours:
            with suppress(OSError):
                os.unlink(_SHARED + name)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _wait_for_the_end(int(sys.argv[1]))
    _end(int(sys.argv[1]), sys.argv[2])
