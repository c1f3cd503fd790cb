"""The loss of a Ray cluster ends the wait for its blocks.

Without its raylet, Ray would wait for ever. Without the head of the cluster, it would end this process after
a minute, without a word.
"""

from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

PERIOD_S = 2.0
LOST_S = 30.0  # without an answer
T = TypeVar("T")


class ClusterLost(Exception):
    """The head of the cluster, or this machine's part of it, no longer answers."""


class ClusterWatch:
    """Asks the cluster, time and again, whether this machine is alive in it."""

    def __init__(self, ray: Any) -> None:
        self._ray, self._node = ray, ray.get_runtime_context().get_node_id()
        self._heard = monotonic()
        self._closed = Event()
        Thread(target=self._listen, name="cluster watch", daemon=True).start()

    def lost(self) -> bool:
        return monotonic() - self._heard > LOST_S

    def close(self) -> None:
        self._closed.set()

    def _listen(self) -> None:
        while not self._closed.wait(PERIOD_S):
            try:  # this too waits for ever if the head is gone
                nodes = self._ray.nodes()
            except Exception:
                continue
            if any(node["NodeID"] == self._node and node["Alive"] for node in nodes):
                self._heard = monotonic()


def until_lost(blocks: Iterable[T], lost: Callable[[], bool]) -> Iterator[T]:
    """The blocks as they come, read ahead by one.

    Raises:
        ClusterLost: none comes, and `lost` says why. Errors of `blocks` are raised as they are.
    """
    found: Queue[tuple[T | None, BaseException | None]] = Queue(1)
    Thread(target=_read, args=(blocks, found), name="cluster blocks", daemon=True).start()
    while True:
        try:
            block, error = found.get(timeout=PERIOD_S / 2)
        except Empty:
            if lost():
                raise ClusterLost from None
            continue
        if isinstance(error, StopIteration):
            return
        if error is not None:
            raise error
        yield block  # type: ignore[misc]


def _read(blocks: Iterable[T], found: Queue[tuple[T | None, BaseException | None]]) -> None:
    try:
        for block in blocks:
            found.put((block, None))
        found.put((None, StopIteration()))
    except BaseException as error:
        found.put((None, error))
