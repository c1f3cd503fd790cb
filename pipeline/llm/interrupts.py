"""Ctrl-C ends the stage alone: a terminal also sends it to the engine's processes, which print tracebacks."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess


@contextmanager
def children_without_sigint() -> Iterator[None]:
    """Processes that `multiprocessing` starts in here never get SIGINT, nor do their own children.

    The signal is blocked, which children inherit. Ignoring it is not enough: vLLM's processes install their
    own handlers. This process itself still gets the signal.
    """
    resource_tracker.ensure_running()  # starting it unblocks the signal
    start = BaseProcess.start

    def start_blocked(process: BaseProcess) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            start(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    BaseProcess.start = start_blocked  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        BaseProcess.start = start  # type: ignore[assignment,method-assign]


class _Interrupted(BaseException):
    """Raised in place of KeyboardInterrupt, as no library catches it."""


@contextmanager
def interrupt_at_once() -> Iterator[None]:
    """Ctrl-C in here ends the block at once. vLLM would swallow a KeyboardInterrupt while its core loads.

    Where SIGINT is ignored (a job in the background) or has another handler, nothing changes.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def interrupt(*_: object) -> None:
        raise _Interrupted

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except _Interrupted:
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)
