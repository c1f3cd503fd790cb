"""The form of an answer: plain text or JSON (`llm.output: json`), and the caption that is found in it."""

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
_THOUGHTS = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ASKED = f'\nAnswer with a JSON object that has one key, "{KEY}": a text.'


def asking_for_json(messages: list[Message]) -> list[Message]:
    """The same conversation, its examples answered in JSON and its instructions asking for it."""
    first = messages[0]
    turns: list[Message] = [{**first, "content": first["content"] + _ASKED}]
    for message in messages[1:]:
        if message["role"] == "assistant":
            message = {**message, "content": json.dumps({KEY: message["content"]}, ensure_ascii=False)}
        turns.append(message)
    return turns


def caption_in(answer: str) -> str | None:
    """The caption in an answer, or None where it is not what the schema asks for."""
    try:
        value = json.loads(answer, strict=False)  # grammars let control characters into texts
    except (json.JSONDecodeError, RecursionError):
        return None
    found = value.get(KEY) if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


def clean_text(answer: str) -> str:
    """The caption in an answer: without thoughts, surrounding quotes, line breaks and control characters."""
    text = _UNPRINTABLE.sub("", _THOUGHTS.sub("", answer))
    text = " ".join(text.split())
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text
