"""What is taken off a model's answer to get a caption."""

import re

_THOUGHTS = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_QUOTES = {'"': '"', "“": "”", "'": "'"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def clean_text(answer: str) -> str:
    """The caption in an answer: without thoughts, surrounding quotes, line breaks and control characters."""
    text = _UNPRINTABLE.sub("", _THOUGHTS.sub("", answer))
    text = " ".join(text.split())
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    return text
