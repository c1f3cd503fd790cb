"""Two tests at once, on as many processes, without one disturbing what another measures.

`pytest -n 2` runs them so. A test marked `alone` runs while no other test does: it measures the clock.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Together:
    """A plugin of one process of those that share the tests of `run`, a name that they all know.

    Without `run` there is one process, and nothing to wait for.
    """

    def __init__(self, run: str | None) -> None:
        self._lock = Path(tempfile.gettempdir(), f"lempo-tests-{run}.lock") if run else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # before the clock of pytest-timeout starts
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self._lock is None:
            return (yield)
        with _held(self._lock, alone=item.get_closest_marker("alone") is not None):
            return (yield)


@contextmanager
def _held(lock: Path, alone: bool) -> Iterator[None]:
    """`lock` is held by one test that is alone, or by any number of others."""
    with lock.open("a") as tests, lock.with_suffix(".next").open("a") as turn:
        # who waits keeps the turn: tests that need not be alone would otherwise follow each other for ever
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(tests, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        try:
            yield
        finally:
            # closing is not enough: a forked child may have the file open too
            fcntl.flock(tests, fcntl.LOCK_UN)
