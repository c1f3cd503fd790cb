"""The turns of a prompt in the form that a chat template takes: with a system turn or without one."""

from collections.abc import Callable
from typing import Any

from jinja2 import TemplateError

from pipeline.llm.contents import Contents
from pipeline.llm.prompt import Message


class Turns:
    """Tries once whether a template takes a system turn; else that text goes before the first user turn.

    Attributes:
        system_taken: whether it takes one; None where that was not tried yet.

    Args:
        write, placeholder: as for `Contents`.
    """

    def __init__(self, write: Callable[[list[Any]], str], placeholder: str | None) -> None:
        self._write, self._contents = write, Contents(write, placeholder)
        self.with_placeholder = self._contents.with_placeholder
        self.system_taken: bool | None = None

    def text(self, messages: list[Message], with_image: bool) -> str:
        """What the template makes of some messages.

        Args:
            with_image: an image stands before the text of the last message.

        Raises:
            Exception: whatever `write` raises for messages that the template refuses.
            ValueError: there is no place for an image.
        """
        if messages[0]["role"] != "system" or self.system_taken:
            return self._applied(messages, with_image)
        if self.system_taken is None:
            try:
                text = self._applied(messages, with_image)
            except TemplateError:
                self.system_taken = False
            else:
                self.system_taken = True
                return text
        system, first, *others = messages
        merged = [{**first, "content": f"{system['content']}\n\n{first['content']}"}, *others]
        return self._applied(merged, with_image)

    def _applied(self, messages: list[Message], with_image: bool) -> str:
        return self._write(self._contents.taken(messages, with_image))
