"""Captions as JSON (`llm.output: json`), for models that answer better, or only cleanly, under a schema."""

import json
from typing import Any

from pipeline.prompt_template import Message

KEY = "caption"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {KEY: {"type": "string", "minLength": 1, "maxLength": 1200}},
    "required": [KEY],
    "additionalProperties": False,
}
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
