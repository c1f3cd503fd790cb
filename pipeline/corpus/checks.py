"""Checks of single values of an input row; each gives the value as the tables hold it, or rejects the row."""

import math
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from pipeline.base.errors import Problem
from pipeline.corpus.json_rows import Repeating

ID_LENGTH = 200
NAME_LENGTH = 100  # of an object, an attribute or a predicate
SCENE_LENGTH = 200
MODIFICATION_LENGTH = 1000
BBOX_TOLERANCE = 1.0  # pixels by which a box may stand over the image's edge

_FORBIDDEN = {"Cc": "a control character", "Cs": "half of a surrogate pair", "Zl": "a line separator"}
_FORBIDDEN["Zp"] = "a paragraph separator"
_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Rejected(Exception):
    """A row that cannot be used: why, in which field, with which value, and what mends it."""

    def __init__(self, reason: str, remedy: str, field: str | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.field = field
        self.value = None if value is None else printable(value)

    def problem(self, file: str, row: int | None) -> Problem:
        """The same as a `Problem` of one row of one file."""
        return Problem(self.reason, self.remedy, file, row, self.field, self.value)


def printable(value: object, limit: int = 200) -> str:
    """A value as text that any file can hold."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def mapping(value: object, field: str) -> Mapping[str, Any]:
    """A JSON object, in which no key stands twice."""
    if not isinstance(value, dict):
        raise Rejected("the value is no JSON object", "Write it as {...}", field, value)
    if isinstance(value, Repeating):
        raise Rejected("a key stands twice", "Keep one of them", field, value.key)
    return value


def sequence(row: Mapping[str, Any], key: str, field: str, *, optional: bool = False) -> list[Any]:
    """A JSON list; [] where it is optional and missing or null."""
    value = row.get(key)
    if value is None and optional:
        return []
    if not isinstance(value, list):
        reason = "the field is missing" if value is None else "the value is no list"
        raise Rejected(reason, "Write it as [...]", field, value)
    return value


def text(value: object, field: str, limit: int) -> str:
    """A text that is not blank, not absurdly long, and holds no control characters; outer space is cut."""
    if value is None:
        raise Rejected("the field is missing", "Add it", field)
    if not isinstance(value, str):
        raise Rejected("the value is no text", "Write it as a string", field, value)
    stripped = value.strip()
    if not stripped:
        raise Rejected("the text is empty", "Fill it in, or remove the row", field, value)
    if len(stripped) > limit:
        raise Rejected(f"the text has {len(stripped)} characters", f"Keep it to {limit}", field, value)
    for character in stripped:
        kind = _FORBIDDEN.get(unicodedata.category(character))
        if kind is None and character in _BIDI:
            kind = "a character that turns the direction of writing"
        if kind is not None:
            raise Rejected(f"the text holds {kind}, U+{ord(character):04X}", "Remove it", field, value)
    return stripped


def identifier(value: object, field: str) -> str:
    """An id: a text, or a whole number, which becomes its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**18 else value
    if value is not None and not isinstance(value, str):
        raise Rejected("an id is a text or a whole number", "Correct the id", field, value)
    return text(value, field, ID_LENGTH)


def whole_number(value: object, field: str) -> int:
    """An integer of at most 64 bits."""
    if value is None:
        raise Rejected("the field is missing", "Add it", field)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise Rejected("the value is no whole number", "Write it as an integer", field, value)
    return value


def split(value: object, field: str, splits: tuple[str, ...]) -> str:
    """One of the known splits."""
    if value not in splits:
        reason = "the field is missing" if value is None else "the split is unknown"
        raise Rejected(reason, f"Use one of {', '.join(splits)}", field, value)
    return str(value)


def relative_path(value: object, field: str) -> str:
    """A path inside the dataset's folder."""
    path = text(value, field, 4 * ID_LENGTH)
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise Rejected("the file lies outside the dataset's folder", "Name it from that folder", field, value)
    return pure.as_posix()


def bbox(value: object, field: str, width: int, height: int) -> tuple[float, float, float, float]:
    """A box (x, y, w, h) in pixels, from {x, y, w, h} or [x, y, w, h], inside the image."""
    numbers = [mapping(value, field).get(key) for key in "xywh"] if isinstance(value, dict) else value
    if (
        not isinstance(numbers, list)
        or len(numbers) != 4
        or any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers)
    ):
        raise Rejected("a box is four numbers, x, y, w and h", "Write it as [x, y, w, h]", field, value)
    try:
        x, y, w, h = (float(number) for number in numbers)
    except OverflowError:
        x = math.inf
    if not all(map(math.isfinite, (x, y, w, h) if x != math.inf else (x,))):
        raise Rejected("the box is not finite", "Correct the box, or leave it out", field, value)
    if w <= 0 or h <= 0:
        raise Rejected("the box has no area", "Correct the box, or leave it out", field, value)
    over = BBOX_TOLERANCE
    if x < -over or y < -over or x + w > width + over or y + h > height + over:
        raise Rejected(
            f"the box stands over the edge of the image, which is {width} x {height} pixels",
            "Correct the box, or leave it out",
            field,
            value,
        )
    return x, y, w, h
