"""The form of an answer, plain text or JSON (`llm.output: json`), and the caption in it."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pipeline.captions.wrapping import KEY, begins_json, caption_in_json, unwrapped
from pipeline.llm.prompt import Message
from pipeline.llm.thoughts import without_thoughts

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {KEY: {"type": "string", "minLength": 1, "maxLength": 1200}},
    "required": [KEY],
    "additionalProperties": False,
}
# JSON can name half a character; nobody sees marks of byte order, of direction and of breaks
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff\ud800-\udfff]")
_INSTRUCTION = f'\nAnswer with a JSON object that has one key, "{KEY}": a text.'


def asking_for_json(messages: list[Message]) -> list[Message]:
    """The same prompt, with an instruction to answer in JSON and with the captions of its examples in JSON.

    The thoughts of examples are left out: the schema has no place for them.
    """
    first, *others = messages
    return [
        {**first, "content": _instructed(first["content"])},
        *(
            {**message, "content": _in_json(message["content"])}
            if message["role"] == "assistant"
            else message
            for message in others
        ),
    ]


# rows share the turns without placeholders: each text is made, and held, once
@lru_cache(maxsize=256)
def _instructed(text: str) -> str:
    return text + _INSTRUCTION


@lru_cache(maxsize=256)
def _in_json(text: str) -> str:
    return json.dumps({KEY: without_thoughts(text)[0].strip()}, ensure_ascii=False)


@dataclass(frozen=True)
class Reading:
    """The caption in an answer, None where there is none; `thinking`: there are thoughts that never end."""

    text: str | None
    thinking: bool = False


def caption_of(answer: str, in_json: bool = False) -> Reading:
    """Read an answer.

    Args:
        in_json: whether a caption outside of JSON counts for none.
    """
    rest, thinking = without_thoughts(_UNPRINTABLE.sub("", answer))
    text = (caption_in_json(rest) or "") if in_json else rest
    text = unwrapped(_UNPRINTABLE.sub("", text))
    return Reading(None if not text or begins_json(text) else text, thinking)
