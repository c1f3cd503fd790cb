"""Rows of a JSON list, one at a time, with the place of whatever is wrong in the file."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError

_CHUNK = 1 << 20  # characters
_OF_NUMBERS = "0123456789.eE+-"
_REMEDY = "Correct the file: it must be one JSON list of rows, in UTF-8"


class Repeating(dict[str, Any]):
    """A JSON object in which a key, `key`, stands twice. Its values are not to be used."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.key = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (0-based position, row) of a file that holds one JSON list.

    An object that holds a key twice comes as `Repeating`, for the row to be rejected.

    Only a piece of the file and one row are in memory at a time.

    Raises:
        UserError: the file is missing, no JSON, not UTF-8, or not a list; the line and column are named.
    """
    if not path.is_file():
        raise UserError("the file is missing", "Put it there, or correct corpus.root", file=path)
    try:
        yield from _Reader(path).rows()
    except UnicodeDecodeError as error:
        raise UserError("the file is not UTF-8", _REMEDY, file=path, value=error) from None
    except OSError as error:
        raise UserError("the file cannot be read", "Check its rights", file=path, value=error) from None


class _Reader:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = ""
        self.at = 0
        self.dropped_lines = 0  # lines and columns of the text that is no longer held
        self.dropped_columns = 0
        self.ended = False

    def rows(self) -> Iterator[tuple[int, Any]]:
        with open(self.path, encoding="utf-8-sig") as self.file:
            first = self._next_character()
            if first is None:
                self._fail("the file is empty")
            if first != "[":
                self._fail("the file holds no list", "its first character", first)
            self.at += 1
            row = 0
            if self._next_character() == "]":
                self.at += 1
            else:
                while True:
                    yield row, self._value()
                    row += 1
                    following = self._next_character()
                    if following not in (",", "]"):
                        self._fail("the file is no JSON: ',' or ']' expected", "the character", following)
                    self.at += 1
                    if following == "]":
                        break
            extra = self._next_character()
            if extra is not None:
                self._fail("the file goes on after its list", "the character", extra)

    def _next_character(self) -> str | None:
        """The next character that is no white space, or None at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\n\r":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return None

    def _more(self) -> bool:
        """Read on; what has been consumed is dropped."""
        consumed = self.text[: self.at]
        lines = consumed.count("\n")
        self.dropped_lines += lines
        self.dropped_columns = (
            len(consumed) - consumed.rfind("\n") - 1 if lines else self.dropped_columns + len(consumed)
        )
        self.text = self.text[self.at :]
        self.at = 0
        piece = self.file.read(max(_CHUNK, len(self.text)))
        self.text += piece
        self.ended = not piece
        return bool(piece)

    def _value(self) -> Any:
        self._next_character()
        while True:
            start = self.at
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if self._may_go_on(error) and self._more():
                    continue
                self.at += error.pos - start
                self._fail(f"the file is no JSON: {error.msg}")
            except RecursionError:
                self._fail("the file is nested too deep")
            except ValueError as error:  # an integer of thousands of digits
                self._fail(f"the file holds an impossible number: {error}")
            if isinstance(value, int | float) and not self.text[end:].strip(_OF_NUMBERS) and self._more():
                continue  # the number may go on in the next piece
            self.at += end - start
            return value

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        return not self.ended and (
            error.msg.startswith("Unterminated string") or error.pos > len(self.text) - 16
        )

    def _fail(self, reason: str, what: str | None = None, found: str | None = None) -> None:
        before = self.text[: self.at]
        lines = before.count("\n")
        column = len(before) - before.rfind("\n") if lines else self.dropped_columns + len(before) + 1
        place = f"at line {self.dropped_lines + lines + 1} column {column}"
        value = None if what is None else f"{what} is {found!r}" if found else "the end of the file"
        raise UserError(f"{reason} ({place})", _REMEDY, file=self.path, value=value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeating(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
