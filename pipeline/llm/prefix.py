"""The head that all prompts have in common: what a prefix cache can share between them."""

from collections.abc import Sequence
from itertools import takewhile


class SharedPrefix:
    """The tokens that all prompts so far begin with.

    Args:
        block: tokens in a block of the prefix cache; only full blocks are shared.
    """

    def __init__(self, block: int) -> None:
        self._block = block
        self._head: Sequence[int] | None = None

    def add(self, prompt: Sequence[int]) -> None:
        """Add a prompt. Its last token does not count: it is always computed."""
        head = prompt[:-1]
        pairs = zip(head if self._head is None else self._head, head, strict=False)
        self._head = [token for token, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]

    @property
    def tokens(self) -> int:
        """Tokens in the full blocks of the common head."""
        return len(self._head or ()) // self._block * self._block
