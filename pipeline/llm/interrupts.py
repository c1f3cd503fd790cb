"""Ctrl-C is for the stage alone: a terminal sends it to the engine's processes too, which die noisily."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess


@contextmanager
def deaf_processes() -> Iterator[None]:
    """Processes that `multiprocessing` starts in here never get SIGINT, nor do those that they start.

    The signal is blocked, which children inherit, and not ignored: vLLM's processes install handlers of their
    own. This process hears it all the while.
    """
    resource_tracker.ensure_running()  # starting it unblocks the signal
    start = BaseProcess.start

    def start_deaf(process: BaseProcess) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            start(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    BaseProcess.start = start_deaf  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        BaseProcess.start = start  # type: ignore[assignment,method-assign]


class _Interrupted(BaseException):
    """Ctrl-C under a name that nobody else catches."""


@contextmanager
def heard_at_once() -> Iterator[None]:
    """Ctrl-C in here ends the block at once: vLLM swallows a KeyboardInterrupt while its core loads.

    Where Ctrl-C is not to be heard (a job in the background), or by somebody else, that stays so.
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
