"""`llm.sampling`: how tokens are drawn beyond temperature and top_p, and where a text stops."""

import math
from collections.abc import Mapping
from typing import Any

# each at the value that changes nothing
NEUTRAL: dict[str, Any] = {
    "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
    "stop": [], "stop_token_ids": [], "bad_words": [],
}  # fmt: skip
_RANDOM = ("top_k", "min_p")  # greedy decoding draws nothing, so these change nothing there
_RANGES = {  # lowest and highest; the lowest itself is not allowed where the last value is false
    "min_p": (0.0, 1.0, True),
    "repetition_penalty": (0.0, math.inf, False),
    "presence_penalty": (-2.0, 2.0, True),
    "frequency_penalty": (-2.0, 2.0, True),
}
_LISTS = {"stop": str, "bad_words": str, "stop_token_ids": int}
_MAX_TOKENS = "interpret.max_tokens, caption.max_tokens or pairs.max_tokens"
ELSEWHERE = {  # what vLLM takes beside these, by the parameter that sets it
    "temperature": "llm.temperature", "top_p": "llm.top_p", "seed": "seed", "n": "caption.samples",
    "max_tokens": _MAX_TOKENS, "max_new_tokens": _MAX_TOKENS, "structured_outputs": "llm.output",
    "chat_template_kwargs": "llm.chat_template_kwargs",
}  # fmt: skip


def checked_sampling(value: dict[str, Any]) -> dict[str, Any]:
    """The mapping itself.

    Raises:
        ValueError: a key is none of `NEUTRAL`, or its value is impossible; the message names both.
    """
    for name, given in value.items():
        if name in ELSEWHERE:
            raise ValueError(f"'{name}' is a parameter of its own: set {ELSEWHERE[name]}")
        if name not in NEUTRAL:
            raise ValueError(f"'{name}' is none of the keys that it takes: {', '.join(NEUTRAL)}")
        if (wrong := _wrong(name, given)) is not None:
            raise ValueError(f"'{name}' must be {wrong}")
    return value


def changes(sampling: Mapping[str, Any], greedy: bool) -> dict[str, Any]:
    """What of `llm.sampling` can change a text, in one form: neutral values are left out.

    Args:
        sampling: as `checked_sampling` gives it.
        greedy: whether the most likely token is always taken.
    """
    found = {}
    for name, neutral in NEUTRAL.items():
        value = sampling.get(name, neutral)
        if name == "top_k":
            value = max(value, 0)  # -1 is another way to say "all"
        elif name in _LISTS:
            value = list(dict.fromkeys([value] if isinstance(value, str) else value))
        elif name in _RANGES:
            value = float(value)
        if value != neutral and not (greedy and name in _RANDOM):
            found[name] = value
    return found


def _wrong(name: str, value: Any) -> str | None:
    """What a value should be instead; None where it is right."""
    if name == "top_k":
        return None if _is(value, int) and value >= -1 else "an integer of at least 1, or 0 for all tokens"
    if name in _RANGES:
        low, high, closed = _RANGES[name]
        right = _is(value, int | float) and math.isfinite(value) and low <= value <= high
        if right and (closed or value > low):
            return None
        return f"a number from {low:g} to {high:g}" if closed else f"a number above {low:g}"
    kind = _LISTS[name]
    if name == "stop" and isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(_is(entry, kind) and _fits(name, entry) for entry in value):
        return None
    if kind is int:
        return "a list of integers >= 0"
    return (
        "a text or a list of texts, none of them empty" if name == "stop" else "a list of texts, none empty"
    )


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _fits(name: str, entry: str | int) -> bool:
    if isinstance(entry, int):
        return 0 <= entry < 2**31
    shown = entry.strip() if name == "bad_words" else entry  # vLLM takes blanks off these
    return bool(shown) and not any("\ud800" <= character <= "\udfff" for character in entry)
