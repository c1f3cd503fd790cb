"""The process that `guard.guarded` starts: `guard_process.py PID FOLDER STOPPED_S`.

The standard library is enough.
"""

import os
import re
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_SHARED = b"/dev/shm/"
_NAMED = re.compile(rb"(?:sem\.loky-|torch_)(\d+)[-_]")  # joblib and PyTorch name theirs by their process
_HALF_MADE = re.compile(r"sem\.[A-Za-z0-9]{6}")  # glibc's, until sem_open gives the semaphore its own name
_PERIOD_S, _GLANCE_S = 1.0, 0.1
_LOOKING = 0.1  # the largest share of a core for looking
_PATIENCE_S = 30.0
_STOPPED = "T"  # a state in /proc; a debugger's is another


class _Process(NamedTuple):
    parent: int
    start: str
    state: str


class _Stopped:
    """Ends processes that stay stopped (SIGSTOP): whoever waits for one of them then hears of its death.

    Only time counts in which this process looks and the parent runs: Ctrl-Z stops all but this one.
    """

    def __init__(self, parent: int, seconds: float, note: str) -> None:
        self._parent, self._limit, self._note = parent, seconds, note
        self._seconds: dict[int, float] = {}
        self._looked = time.monotonic()

    def look(self, ours: set[int], table: dict[int, _Process]) -> None:
        now = time.monotonic()
        past, self._looked = min(now - self._looked, 5 * _PERIOD_S), now
        waited_for = ours if self._parent in table and table[self._parent].state != _STOPPED else ()
        stopped = [pid for pid in waited_for if table[pid].state == _STOPPED]
        self._seconds = {pid: self._seconds.get(pid, -past) + past for pid in stopped}
        for pid in stopped:
            if self._seconds[pid] >= self._limit:
                Path(self._note).touch()
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _wait_for_the_end(parent: int, stopped: _Stopped) -> tuple[dict[int, str], set[bytes]]:
    """Note, until it has ended, the processes below the parent, with their start times, and what they share.

    A process that sets its own title, as Ray's and vLLM's do, writes over the variable that marks it. A
    cluster that ends in order, or that loses its driver, kills vLLM's core, whose shared memory then stays.
    """
    # what the parent started before this process is none of its business
    since = int(_table()[os.getpid()].start)
    noted: dict[int, str] = {}
    shared: set[bytes] = set()
    names: set[str] = set()
    look_at = again_at = new_until = 0.0
    ended = None
    with suppress(OSError, AttributeError):  # it has ended, or this system has no pidfd
        ended = os.pidfd_open(parent)
    while True:
        over = os.getppid() != parent  # one more look then, before those that it leaves end by themselves
        now, listed = time.monotonic(), _listed_shared_memory()
        if listed != names:
            names, new_until = listed, max(now, again_at) + _PERIOD_S  # a look follows that sees it
        new = now < new_until
        if over or now >= (again_at if new else look_at):
            table = _table()
            below = _below({parent, *_alive(noted, table)}, table)
            noted |= {pid: table[pid].start for pid in below if int(table[pid].start) > since}
            stopped.look(_alive(noted, table), table)
            if over or new:  # reading what is mapped costs more than listing
                shared |= set().union(*(_shared_memory(pid) for pid in _alive(noted, table)))
            again_at = now + (time.monotonic() - now) / _LOOKING
            look_at = max(now + _PERIOD_S, again_at)
        if over:
            return noted, shared
        select.select([] if ended is None else [ended], [], [], _GLANCE_S)


def _alive(noted: dict[int, str], table: dict[int, _Process]) -> set[int]:
    """Those that were noted and run: a number may be another process's by now."""
    return {pid for pid, start in noted.items() if pid in table and table[pid].start == start}


def _table() -> dict[int, _Process]:
    """Every process that has not ended."""
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    table[int(entry)] = _Process(int(fields[1]), fields[19], fields[0])
    return table


def _below(roots: set[int], table: dict[int, _Process]) -> set[int]:
    """The processes below some others."""
    found: set[int] = set()
    level = roots
    while level:
        level = {pid for pid, process in table.items() if process.parent in level} - found
        found |= level
    return found - {os.getpid()}


def _ours(folder: str, noted: dict[int, str]) -> set[int]:
    """All processes of the run."""
    table = _table()
    found = _alive(noted, table) | set(_marked(folder))
    return found | _below(found, table)


def _is_tracker(pid: int) -> bool:
    """Whether it is a resource tracker of Python's, which ends last and cleans up, or has ended."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _marked(folder: str) -> list[int]:
    """The processes that carry the run's mark."""
    mark, found = b"LEMPO_RUN=" + os.fsencode(folder), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        process = Path("/proc", entry)
        try:
            ours = mark in (process / "environ").read_bytes().split(b"\0") or any(
                _link(file) == folder for file in (process / "fd").iterdir()
            )
            if ours:
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


def _listed_shared_memory() -> set[str]:
    try:
        return set(os.listdir(_SHARED.decode()))
    except OSError:
        return set()


def _delete_half_made_semaphores() -> None:
    """Delete semaphores whose process was killed while it made them, a matter of microseconds."""
    found = [name for name in _listed_shared_memory() if _HALF_MADE.fullmatch(name)]
    if found:
        time.sleep(_PERIOD_S)  # those that another process makes have their names by then
    for half_made in (Path(_SHARED.decode(), name) for name in found):
        with suppress(OSError):
            if half_made.stat().st_uid != os.getuid():
                continue
            for path in half_made.parent.iterdir():  # killed a moment later, it has its own name too
                if path.samefile(half_made) and path != half_made:
                    path.unlink()
            half_made.unlink()


def _end(parent: int, folder: str, noted: dict[int, str], shared: set[bytes]) -> None:
    ours = {parent, *noted}
    deadline = time.monotonic() + _PATIENCE_S
    empty = 0
    while empty < 2 and time.monotonic() < deadline:
        found = _ours(folder, noted)
        ours |= found
        shared |= set().union(*map(_shared_memory, found))
        running = {pid for pid in found if not _is_tracker(pid)}
        empty = 0 if running else empty + 1
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    others = (_shared_memory(entry) for entry in os.listdir("/proc") if entry.isdigit())
    for path in shared.difference(*others) if shared else ():
        with suppress(OSError):
            os.unlink(path)
    for name in os.listdir(_SHARED) if os.path.isdir(_SHARED) else ():
        if (named := _NAMED.match(name)) and int(named[1]) in ours:
            with suppress(OSError):
                os.unlink(_SHARED + name)
    _delete_half_made_semaphores()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _parent, _folder = int(sys.argv[1]), sys.argv[2]
    _watch = _Stopped(_parent, float(sys.argv[3]), f"{_folder}/stopped")
    _end(_parent, _folder, *_wait_for_the_end(_parent, _watch))
