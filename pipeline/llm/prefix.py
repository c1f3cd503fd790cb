"""The head that all prompts have in common: what a prefix cache can share between them."""

from collections.abc import Sequence


class SharedPrefix:
    """The head that all prompts so far have in common.

    Args:
        block: tokens in a block of the prefix cache; only full blocks are shared.
    """

    def __init__(self, block: int) -> None:
        self._block = block
        self._head: list[int] | None = None

    def add(self, prompt: Sequence[int]) -> None:
        """Note a prompt. Its last token is always computed, never taken from the cache."""
        head = list(prompt[:-1])
        known = self._head
        if known is None:
            self._head = head
        elif head[: len(known)] != known:
            same = (i for i, (ours, theirs) in enumerate(zip(known, head, strict=False)) if ours != theirs)
            self._head = known[: next(same, min(len(known), len(head)))]

    @property
    def tokens(self) -> int:
        """Tokens of the full blocks in the common head."""
        return len(self._head or ()) // self._block * self._block
