"""The contents of messages as a chat template takes them: texts, or lists of parts, one of them an image."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from pipeline.llm.prompt import Message

_PROBE = "a quiet morning"  # a text to find in what a template writes


class Contents:
    """Tries once what a template writes: one that loops over parts leaves a text out, without an error.

    Args:
        write: renders messages by the template; it may raise anything.
        placeholder: stands for an image in prompts of the model, for templates that take no parts; None where
            the model takes no images.
    """

    def __init__(self, write: Callable[[list[Any]], str], placeholder: str | None) -> None:
        self._write, self._placeholder = write, placeholder

    def taken(self, messages: list[Message], with_image: bool) -> list[Any]:
        """The messages as the template takes them; an image stands before the text of the last one.

        Raises:
            ValueError: there is no place for an image.
            TimeoutError: what limits the time of `write` raises it.
        """
        *others, last = messages
        if with_image and not self._takes_parts:
            last = {**last, "content": self.with_placeholder(last["content"])}
        turns = [*others, last] if self._takes_texts else [_in_parts(turn) for turn in (*others, last)]
        if with_image and self._takes_parts:
            (text,) = _in_parts(last)["content"]
            turns = [*turns[:-1], {**last, "content": [{"type": "image"}, text]}]
        return turns

    def with_placeholder(self, content: str) -> str:
        """The text with what stands for an image before it.

        Raises:
            ValueError: there is no place for an image.
        """
        if self._placeholder is None:
            raise ValueError("the model's chat template has no place for an image")
        return f"{self._placeholder}\n{content}"

    @cached_property
    def _takes_texts(self) -> bool:
        return self._writes({"role": "user", "content": _PROBE}) or not self._takes_parts

    @cached_property
    def _takes_parts(self) -> bool:
        return self._writes(_in_parts({"role": "user", "content": _PROBE}))

    def _writes(self, message: dict[str, Any]) -> bool:
        try:
            text = self._write([message])
        except TimeoutError:
            raise
        except Exception:  # templates raise anything
            return False
        return _PROBE in text and "'type'" not in text and '"type"' not in text  # no list as Python prints it


def _in_parts(message: Message) -> dict[str, Any]:
    return {**message, "content": [{"type": "text", "text": message["content"]}]}
