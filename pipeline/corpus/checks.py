"""Checks of single values of an input row; each gives the value as the tables hold it, or rejects the row."""

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipeline.base.errors import Problem
from pipeline.corpus.json_rows import Repeating

ID_LENGTH = 200
PATH_LENGTH = 4 * ID_LENGTH
NAME_LENGTH = 100  # of an object, an attribute or a predicate
SCENE_LENGTH = 200
MODIFICATION_LENGTH = 1000
_LARGE = 2**53  # no pixel is so far away
BBOX_TOLERANCE = 1.0  # pixels by which a box may reach over the image's edge

_FORBIDDEN = {
    "Cc": "a control character",
    "Cs": "half of a surrogate pair",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}
_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Entry:
    """The name of a list's entry within its row, as "objects[2]", which is only composed for an error."""

    __slots__ = ("_index", "_key", "_record")

    def __init__(self, record: "Record", key: str, index: int) -> None:
        self._record, self._key, self._index = record, key, index

    def __str__(self) -> str:
        return f"{self._record.field(self._key)}[{self._index}]"


Field = str | Entry


class Rejected(Exception):
    """A row that cannot be used: the reason, what corrects it, and the field and value that are wrong."""

    def __init__(self, reason: str, remedy: str, field: Field | None = None, value: object = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.field = None if field is None else str(field)
        self.value = None if value is None else printable(value)

    @property
    def parts(self) -> tuple[str, str, str | None, str | None]:
        """Reason, remedy, field and value: what `Rejected(*parts)` makes the same again."""
        return self.reason, self.remedy, self.field, self.value

    def problem(self, file: object, row: int | None) -> Problem:
        """The problem of a row of a file; None: of the file as a whole."""
        return Problem(self.reason, self.remedy, str(file), row, self.field, self.value)


def printable(value: object, limit: int = 200) -> str:
    """A value as text that any file can hold."""
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else text[: limit - 3] + "..."


class Record:
    """A JSON object of an input row.

    `path` names it within the row, as "objects[2]"; it is empty for the row itself. All methods raise
    `Rejected` for a value that cannot be used.
    """

    __slots__ = ("path", "values")

    def __init__(self, values: Mapping[str, Any], path: Field = "") -> None:
        self.values = values
        self.path = path

    @classmethod
    def checked(cls, value: object, path: Field = "") -> "Record":
        """A JSON object in which no key stands twice."""
        if not isinstance(value, dict):
            raise Rejected("the value is no JSON object", "Write it as {...}", path or "row", value)
        if isinstance(value, Repeating):
            raise Rejected("a key stands twice", "Keep one of them", path or "row", value.key)
        return cls(value, path)

    def get(self, key: str) -> Any:
        """A field's value; None if it is missing, null, or NaN, as pandas writes an empty cell."""
        value = self.values.get(key)
        return None if type(value) is float and math.isnan(value) else value

    def optional(self, key: str) -> Any:
        """The value of a field that may be missing; a blank text counts as missing too."""
        value = self.get(key)
        return None if isinstance(value, str) and not value.strip() else value

    def field(self, key: str) -> str:
        """The name of a field within the row."""
        return f"{self.path}.{key}" if self.path else key

    def text(self, key: str, limit: int) -> str:
        value = self.get(key)
        return _plain(value, limit) or text(value, self.field(key), limit)

    def name(self, key: str) -> str:
        value = self.get(key)
        return _plain(value, NAME_LENGTH) or name(value, self.field(key))

    def identifier(self, key: str) -> str:
        return identifier(self.get(key), self.field(key))

    def whole_number(self, key: str) -> int:
        """An integer of at most 64 bits."""
        value = as_whole(self.get(key))
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
            reason = "the field is missing" if value is None else "the value is no whole number"
            raise Rejected(reason, "Write an integer", self.field(key), value)
        return value

    def choice(self, key: str, allowed: Sequence[str]) -> str:
        value = self.get(key)
        if value not in allowed:
            reason = "the field is missing" if value is None else "the value is unknown"
            raise Rejected(reason, f"Use one of {', '.join(allowed)}", self.field(key), value)
        return allowed[allowed.index(value)]  # one object for the values of all rows

    def entries(self, key: str, *, optional: bool = False) -> Iterator[tuple[Any, Entry]]:
        """The entries of a JSON list, each with its field; none if the list is optional and missing."""
        value = self.get(key)
        if value is None and optional:
            return
        if not isinstance(value, list):
            reason = "the field is missing" if value is None else "the value is no list"
            raise Rejected(reason, "Write it as [...]", self.field(key), value)
        for i, entry in enumerate(value):
            yield entry, Entry(self, key, i)

    def records(self, key: str, *, optional: bool = False) -> Iterator["Record"]:
        """The entries of a list of JSON objects."""
        for entry, field in self.entries(key, optional=optional):
            yield Record.checked(entry, field)

    def names(self, key: str) -> list[str]:
        """An optional list of names."""
        return [name(entry, field) for entry, field in self.entries(key, optional=True)]


def is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def as_whole(value: object) -> object:
    """3.0 as 3, since pandas writes a column of whole numbers with an empty cell so; else the value."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _plain(value: object, limit: int) -> str:
    """A text of which nothing is to be said, without outer space; "" for any other value."""
    if type(value) is not str or not value.isprintable():  # `text` says what is forbidden
        return ""
    value = value.strip()
    return value if len(value) <= limit else ""


def text(value: object, field: Field, limit: int) -> str:
    """A text without control characters that is not blank and not absurdly long; outer space is cut."""
    if value is None:
        raise Rejected("the field is missing", "Add it", field)
    if not isinstance(value, str):
        raise Rejected("the value is no text", "Write it as a string", field, value)
    stripped = value.strip()
    if not stripped:
        raise Rejected("the text is empty", "Fill it in, or remove the row", field, value)
    if len(stripped) > limit:
        raise Rejected(f"the text has {len(stripped)} characters", f"Keep it to {limit}", field, value)
    for character in "" if stripped.isprintable() else stripped:  # what is forbidden is not printable
        kind = _FORBIDDEN.get(unicodedata.category(character))
        if kind is None and character in _BIDI:
            kind = "a character that turns the direction of writing"
        if kind is not None:
            raise Rejected(f"the text holds {kind}, U+{ord(character):04X}", "Remove it", field, value)
    return stripped


def name(value: object, field: Field) -> str:
    """A name of an object, an attribute or a predicate."""
    return _plain(value, NAME_LENGTH) or text(None if is_nan(value) else value, field, NAME_LENGTH)


def identifier(value: object, field: Field) -> str:
    """An id: a text, in composed Unicode, or a whole number, which becomes its digits."""
    value = as_whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**18 else value
    if value is not None and not isinstance(value, str):
        raise Rejected("an id is a text or a whole number", "Correct the id", field, value)
    return unicodedata.normalize("NFC", text(value, field, ID_LENGTH))


def relative_path(value: object, field: Field) -> str:
    """A path inside the dataset's folder."""
    path = PurePosixPath(text(value, field, PATH_LENGTH))
    if path.is_absolute() or ".." in path.parts:
        remedy = "Write the path relative to that folder"
        raise Rejected("the file lies outside the dataset's folder", remedy, field, value)
    return path.as_posix()


def bbox(value: object, field: Field) -> tuple[float, float, float, float] | None:
    """A box's x, y, w and h in pixels, from {x, y, w, h} or [x, y, w, h]; None if all four are null.

    Raises:
        Rejected: these are no four numbers.
    """
    numbers = [value.get(key, "") for key in "xywh"] if isinstance(value, dict) else value
    if isinstance(value, dict):
        Record.checked(value, field)
    if type(numbers) is list and len(numbers) == 4 and set(map(type, numbers)) <= {int, float}:
        x, y, w, h = numbers  # the usual case, which is several times faster
        if -_LARGE < x < _LARGE and -_LARGE < y < _LARGE and -_LARGE < w < _LARGE and -_LARGE < h < _LARGE:
            return float(x), float(y), float(w), float(h)
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(map(_number_or_null, numbers)):
        raise Rejected("a box is four numbers, x, y, w and h", "Write it as [x, y, w, h]", field, value)
    if all(number is None or is_nan(number) for number in numbers):
        return None
    try:
        x, y, w, h = (math.nan if number is None else float(number) for number in numbers)
    except OverflowError:  # an integer that is larger than any float
        x = y = w = h = math.inf
    return x, y, w, h


def _number_or_null(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
