"""Ends an engine's processes when the process that started them is killed: vLLM's core would go on.

`Watch` runs this file as a process of its own. While its parent loads an engine, it notes the parent's
descendants. If the parent ends before the engine is closed, it kills them.
"""

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PERIOD_S = 0.5


class Watch:
    """Watches from its construction until `close`. Does nothing where there is no `/proc`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if Path("/proc/self/stat").exists():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C must reach only the watched process
            )

    def loaded(self) -> None:
        """The engine is up: processes that start from now on are not its own."""
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(b"loaded\n")
                self._process.stdin.flush()

    def close(self) -> None:
        """The engine is closed; the watch ends."""
        if self._process is not None:
            self._process.communicate(b"closed\n")
            self._process = None


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and start time of every process."""
    processes = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            processes[int(entry)] = (int(fields[1]), fields[19])
    return processes


def _descendants(ancestor: int) -> dict[int, str]:
    """Start times of the processes below one, without this one and Python's resource tracker."""
    processes = _processes()
    started: dict[int, str] = {}
    level = [ancestor]
    while level:
        level = [pid for pid, (parent, _) in processes.items() if parent in level]
        started |= {pid: processes[pid][1] for pid in level}
    return {pid: start for pid, start in started.items() if pid != os.getpid() and not _is_tracker(pid)}


def _is_tracker(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker" in file.read()
    except OSError:
        return True


def _watch(parent: int) -> None:
    before = set(_descendants(parent))
    noted: dict[int, str] = {}
    loading = True
    received = b""
    while True:
        if loading and os.getppid() == parent:
            noted |= {pid: start for pid, start in _descendants(parent).items() if pid not in before}
        if select.select([0], [], [], PERIOD_S if loading else None)[0]:
            word = os.read(0, 100)
            if not word:
                break
            received += word
            loading = b"loaded" not in received
            if b"closed" in received:
                return
    alive = _processes()
    for pid, start in noted.items():
        if pid in alive and alive[pid][1] == start:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
