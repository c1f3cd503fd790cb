"""An end for what may hang."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class TooSlow(BaseException):
    """No `Exception`: readers must not take it for a fault of a file."""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise `TooSlow` in the block after so many seconds."""

    def stop(*_: object) -> None:
        raise TooSlow(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
