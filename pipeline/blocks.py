"""Many rows in little memory: a block at a time, and sources that are read again rather than kept."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")

BLOCK_ROWS = 65_536


def blocks_of(rows: Iterable[T]) -> Iterator[list[T]]:
    """All rows in their order, `BLOCK_ROWS` at a time."""
    source = iter(rows)
    while block := list(islice(source, BLOCK_ROWS)):
        yield block
        del block  # before the next one is made


class Repeatable(Generic[T]):
    """What `make` yields, to go through more than once: made anew each time, unless it is one block or less.

    `count` is how many items there are, known once they have been gone through.
    """

    def __init__(self, make: Callable[[], Iterable[T]]) -> None:
        self._make = make
        self._kept: list[T] | None = None
        self.count = 0

    def __iter__(self) -> Iterator[T]:
        return self._made() if self._kept is None else iter(self._kept)

    def _made(self) -> Iterator[T]:
        kept: list[T] = []
        count = 0
        for count, item in enumerate(self._make(), 1):
            if count <= BLOCK_ROWS:
                kept.append(item)
            else:
                kept.clear()
            yield item
        self.count = count
        if count <= BLOCK_ROWS:
            self._kept = kept
