"""The form of an answer, plain text or JSON (`llm.output: json`), and the caption in it."""

import json
import re
from typing import Any

from pipeline.llm.prompt import Message

KEY = "caption"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {KEY: {"type": "string", "minLength": 1, "maxLength": 1200}},
    "required": [KEY],
    "additionalProperties": False,
}
_TAG = r"(?:\w{1,20}:)?(?:think|thinking|thoughts?|reason|reasoning|reflection|analysis)\s{0,9}>"
_THOUGHTS_START = re.compile(rf"<{_TAG}|\[think\]|◁think▷|<\|channel\|>analysis<\|message\|>", re.IGNORECASE)
_THOUGHTS_END = re.compile(rf"</{_TAG}|\[/think\]|◁/think▷|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_QUOTES = {'"': '"', "“": "”", "'": "'"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INSTRUCTION = f'\nAnswer with a JSON object that has one key, "{KEY}": a text.'


def asking_for_json(messages: list[Message]) -> list[Message]:
    """The same prompt, with an instruction to answer in JSON and with the answers of its examples in JSON."""
    first, *others = messages
    return [
        {**first, "content": first["content"] + _INSTRUCTION},
        *(
            {**message, "content": json.dumps({KEY: message["content"]}, ensure_ascii=False)}
            if message["role"] == "assistant"
            else message
            for message in others
        ),
    ]


def caption_in(answer: str) -> str | None:
    """The caption in an answer, or None where the answer does not fit the schema."""
    try:
        value = json.loads(answer, strict=False)  # grammars allow control characters inside texts
    except (ValueError, RecursionError):  # ValueError: no JSON, or a number of thousands of digits
        return None
    caption = value.get(KEY) if isinstance(value, dict) else None
    return caption if isinstance(caption, str) else None


def ends_thoughts(answer: str) -> bool:
    """Whether thoughts end in an answer, wherever they began: some prompts open them."""
    return _THOUGHTS_END.search(answer) is not None


def without_thoughts(answer: str) -> tuple[str, bool]:
    """What follows the last end of thoughts, and whether further thoughts begin there that never end."""
    end = max((match.end() for match in _THOUGHTS_END.finditer(answer)), default=0)
    start = _THOUGHTS_START.search(answer, end)
    return (answer[end:], False) if start is None else (answer[end : start.start()], True)


def clean_text(caption: str) -> str:
    """A caption without surrounding quotes, line breaks and control characters."""
    text = _UNPRINTABLE.sub("", caption)
    text = " ".join(text.split())
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text
