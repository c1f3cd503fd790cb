"""The loss of a Ray cluster ends the wait for its blocks.

Ray itself ends this process after some seconds, without a word, or waits for ever.
"""

import socket
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import monotonic
from typing import Any, TypeVar

from pipeline.base.interrupts import received

PERIOD_S = 1.0
LOST_S = 10.0  # Ray ends this process some 20 s after the death of its raylet, 60 s after that of the head
T = TypeVar("T")


class ClusterLost(Exception):
    """The head of the cluster, or this machine's part of it (the raylet), is gone."""


class ClusterWatch:
    """Knocks at the ports of the cluster's head and of this machine's raylet, time and again."""

    def __init__(self, ray: Any) -> None:
        context = ray.get_runtime_context()
        (here,) = [node for node in ray.nodes() if node["NodeID"] == context.get_node_id()]
        head, _, port = context.gcs_address.rpartition(":")
        self._ports = [(head.strip("[]"), int(port)), (here["NodeManagerAddress"], here["NodeManagerPort"])]
        self._heard = monotonic()
        self._closed = Event()
        Thread(target=self._knock, name="cluster watch", daemon=True).start()

    def lost(self) -> bool:
        return monotonic() - self._heard > LOST_S

    def close(self) -> None:
        self._closed.set()

    def _knock(self) -> None:
        # the kernel takes a connection as long as the process is there, however busy it is
        while not self._closed.wait(PERIOD_S):
            try:
                for port in self._ports:
                    socket.create_connection(port, LOST_S).close()
            except OSError:
                continue
            self._heard = monotonic()


def until_lost(blocks: Iterable[T], lost: Callable[[], bool]) -> Generator[T]:
    """The blocks as they come, read ahead by one. Whoever stops before the last must close this iterator.

    Raises:
        ClusterLost: none comes, and `lost` says why. Errors of `blocks` are raised as they are.
    """
    found: Queue[tuple[T | None, BaseException | None]] = Queue(1)
    stop = Event()
    reader = Thread(target=_read, args=(blocks, found, stop), name="cluster blocks", daemon=True)
    reader.start()
    try:
        while True:
            try:
                block, error = found.get(timeout=PERIOD_S)
            except Empty:
                if lost():
                    raise ClusterLost from None
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield block  # type: ignore[misc]
    finally:
        stop.set()
        # Ray must not be shut down under the reader; after a signal, or without a cluster, nobody waits
        reader.join(0 if lost() or received() else LOST_S)


def _read(blocks: Iterable[T], found: Queue[tuple[T | None, BaseException | None]], stop: Event) -> None:
    def give(block: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            with suppress(Full):
                found.put((block, error), timeout=PERIOD_S / 10)
                return

    iterator = iter(blocks)
    try:
        for block in iterator:
            give(block, None)
            if stop.is_set():
                break
        else:
            give(None, StopIteration())
    except BaseException as error:
        give(None, error)
    finally:
        if isinstance(iterator, Generator):
            iterator.close()
