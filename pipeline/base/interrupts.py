"""Signals that end a command: one exception for all of them, and an end within seconds."""

import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

GRACE_S = 8.0  # from the signal to the end by force
_SAME_S = 1.0  # `timeout` and others send a signal to the process and again to its group
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asks to end; not a KeyboardInterrupt, which vLLM swallows while it loads a model.

    Attributes:
        signal: which.
        kept: what the code that it passes through says about its results, as "the 12 texts are kept".
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        self.kept: list[str] = []
        super().__init__(self.signal.name)

    @property
    def code(self) -> int:
        """The exit code that shells give such an end: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.signal

    def __str__(self) -> str:
        what = "interrupted" if self.signal == signal.SIGINT else f"ended by {self.signal.name}"
        return "; ".join([what, *self.kept])


def end_by_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP raise `Interrupted`, unless they are ignored (as with `nohup`).

    For programs, not for libraries: it changes the whole process. A second signal ends the process at once,
    and so does the first if it is still there after `GRACE_S` seconds. A thread sees to that, as Python's
    handlers wait while a library computes. Where DVC started the command, the death of DVC is a SIGTERM.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _raise_again
    threading.Thread(target=_watch, args=(woken, _dvc()), name="signals", daemon=True).start()
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_forget)
    children_without_sigint()


def received() -> int:
    """The signal that asked this process to end, also where a library swallowed the exception; 0 if none."""
    return _received


def raise_no_more() -> None:
    """From now on a signal raises nothing: the command is done, and how it ended is said.

    A process that is still there after a second signal, or `GRACE_S` after the first, is ended by force.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


class held:
    """While it lasts a signal waits, for a few steps that must not be left half done; then it is raised."""

    def __enter__(self) -> None:
        global _holding
        if threading.current_thread() is threading.main_thread():  # the only one that signals interrupt
            _holding += 1

    def __exit__(self, *_: object) -> None:
        global _holding, _waiting
        if threading.current_thread() is threading.main_thread():
            _holding -= 1
            if _waiting and not _holding and _raised is not None:
                _waiting = False
                raise _raised


_received = 0
_raised: Interrupted | None = None
_holding = 0
_waiting = False


def _interrupt(number: int, _: object) -> None:
    global _received, _raised, _waiting
    _received = _received or number
    if _raised is None:  # later ones are for the thread
        _raised = Interrupted(_received)
        if not _holding:
            raise _raised
        _waiting = True


def _raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """An exception in a destructor is printed and lost: raise this one again, where it is heard."""
    global _raised
    if isinstance(lost.exc_value, Interrupted):
        _raised = None
        threading.Timer(0.05, os.kill, (os.getpid(), _received)).start()
    else:
        sys.__unraisablehook__(lost)


_mask: set[signal.Signals] = set()


def _hold() -> None:
    """Before a fork: a signal to the new process must not reach it while it still tells this one of it."""
    global _mask
    _mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # type: ignore[assignment]


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _mask)


def _forget() -> None:
    """In a forked process: signals are its own matter."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    _release()


def _watch(woken: int, dvc: int | None) -> None:
    """End the process by force after a second signal, or `GRACE_S` after the first."""
    global _received
    first, since = 0, 0.0
    while True:
        files = [woken] if dvc is None else [woken, dvc]
        left = since + GRACE_S - time.monotonic() if first else None
        ready = select.select(files, [], [], None if left is None else max(0.0, left))[0]
        if dvc in ready:
            dvc = None
            os.kill(os.getpid(), signal.SIGTERM)
            continue
        numbers = [number for number in os.read(woken, 64) if number in _SIGNALS] if ready else []
        if not first:
            first, since = next(iter(numbers), 0), time.monotonic()
            _received = first
        elif not ready or (numbers and time.monotonic() - since > _SAME_S):
            with suppress(OSError):
                os.write(2, f"{_raised or Interrupted(first)}; ended by force\n".encode())
            os._exit(128 + first)


def _dvc() -> int | None:
    """A descriptor that is readable once the DVC that started this command has ended; None without DVC."""
    mark = f"DVC_STAGE={os.environ.get('DVC_STAGE')}".encode()
    pid = os.getpid()
    try:
        while mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        return None if pid == os.getpid() else os.pidfd_open(pid)
    except (OSError, AttributeError):  # no /proc, no pidfd, or DVC has ended already
        return None


def children_without_sigint() -> None:
    """Processes that `multiprocessing` starts from now on never get SIGINT, nor do their own children.

    A terminal sends Ctrl-C to all of them, and they would print tracebacks; this process ends them. The
    signal is blocked, which children inherit. Ignoring it is not enough: vLLM's processes install their own
    handlers.
    """
    start = BaseProcess.start
    if start is _start_blocked:
        return
    global _start
    _start = start
    BaseProcess.start = _start_blocked  # type: ignore[assignment,method-assign]


_start = BaseProcess.start


def _start_blocked(process: BaseProcess) -> None:
    if sys.platform != "win32":
        resource_tracker.ensure_running()  # starting it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        _start(process)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
