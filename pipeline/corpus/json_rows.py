"""Rows of JSON lists, one at a time. An error names the line and column of whatever is wrong in the file."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pipeline.base.errors import UserError
from pipeline.base.files import LFS_POINTER, is_lfs_pointer

_CHUNK = 1 << 20  # characters
_OF_NUMBERS = "0123456789.eE+-"
_REMEDY = "Correct the file: it must be one JSON list of rows, in UTF-8"
_MEMBERS_REMEDY = "Correct the file: it must be one JSON object, in UTF-8 or UTF-16"


class Repeating(dict[str, Any]):
    """A JSON object in which a key, `key`, stands twice. Its values are not to be used."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.key = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)


def read_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (0-based position, row) of a file that holds one JSON list.

    An object that holds a key twice comes as `Repeating`, so that the caller can reject its row. Only one
    chunk of the file and one row are in memory at a time.

    Raises:
        UserError: the file is missing, no JSON, not UTF-8, or not a list.
    """
    for row, value, _ in read_texts(path):
        yield row, value


def read_texts(path: Path) -> Iterator[tuple[int, Any, str]]:
    """As `read_rows`, with each row as it stands in the file."""
    with _opened(path, "utf-8-sig", _REMEDY) as file:
        yield from _Reader(path, file, _REMEDY).rows()


def read_members(path: Path) -> Iterator[tuple[str, int | None, Any]]:
    """Yield the members of a file that holds one JSON object, their lists row by row.

    A list comes as (key, None, []), then as (key, 0-based position, row) for each row; any other value as
    (key, None, value). Only one chunk of the file and one row are in memory at a time.

    Raises:
        UserError: the file is missing, no JSON, neither UTF-8 nor UTF-16, no object, or holds a key twice.
    """
    with _opened(path, None, _MEMBERS_REMEDY) as file:
        yield from _Reader(path, file, _MEMBERS_REMEDY).members()


def encoding_of(head: bytes) -> str:
    """The encoding of a text in Unicode that begins so: by its byte order mark, else UTF-8."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    return "utf-8-sig"


@contextmanager
def _opened(path: Path, encoding: str | None, remedy: str) -> Iterator[TextIO]:
    if not path.is_file():
        raise UserError("the file is missing", "Put it there, or correct corpus.root", file=path)
    try:
        if encoding is None:
            with open(path, "rb") as raw:
                encoding = encoding_of(raw.read(4))
        with open(path, encoding=encoding) as file:
            yield file
    except UnicodeError as error:
        name = "UTF-16" if encoding == "utf-16" else "UTF-8"
        raise UserError(f"the file is not {name}", remedy, file=path, value=error) from None
    except OSError as error:
        raise UserError("the file cannot be read", "Check its permissions", file=path, value=error) from None


class _Reader:
    """Reads a file in chunks; `text[at:]` is what has been read and not used yet."""

    def __init__(self, path: Path, file: TextIO, remedy: str) -> None:
        self.path = path
        self.file = file
        self.remedy = remedy
        self.text = ""
        self.at = 0
        self.length = 0  # of the last value, which ends at `at`
        self.dropped_lines = 0  # lines, and columns of the last line, that are no longer in `text`
        self.dropped_columns = 0
        self.ended = False

    def rows(self) -> Iterator[tuple[int, Any, str]]:
        self._begin("[", "list")
        for row in self._entries("]"):
            value = self._value()
            yield row, value, self.text[self.at - self.length : self.at]
        self._end("list")

    def members(self) -> Iterator[tuple[str, int | None, Any]]:
        self._begin("{", "object")
        keys: set[str] = set()
        for _ in self._entries("}"):
            if (first := self._next_character()) != '"':
                self._fail("the file is no JSON: a key expected", self._shown(first))
            key = self._value()
            if key in keys:
                self._fail("a key of the file stands twice", repr(key))
            keys.add(key)
            self._step(":")
            if self._next_character() == "[":
                self.at += 1
                yield key, None, []
                for row in self._entries("]"):
                    yield key, row, self._value()
            else:
                yield key, None, self._value()
        self._end("object")

    def _begin(self, bracket: str, kind: str) -> None:
        first = self._next_character()
        if first is None:
            self._fail("the file is empty")
        if is_lfs_pointer(self.text[:100].encode("utf-8", "replace")):
            raise UserError(*LFS_POINTER, file=self.path)
        if first != bracket:
            self._fail(f"the file holds no {kind}", f"its first character is {first!r}")
        self.at += 1

    def _entries(self, bracket: str) -> Iterator[int]:
        """The positions of entries, which the caller reads, up to the last bracket of a list or an object."""
        position = 0
        end = self._next_character() == bracket
        if end:
            self.at += 1
        while not end:
            yield position
            position += 1
            end = self._step(",", bracket) == bracket

    def _step(self, *expected: str) -> str:
        """Pass by the next character, which must be one of these."""
        character = self._next_character()
        if character is None or character not in expected:
            wanted = " or ".join(map(repr, expected))
            self._fail(f"the file is no JSON: {wanted} expected", self._shown(character))
        self.at += 1
        return character

    def _end(self, kind: str) -> None:
        if extra := self._next_character():
            self._fail(f"the file goes on after its {kind}", self._shown(extra))

    def _shown(self, character: str | None) -> str:
        return f"the character is {character!r}" if character else "the end of the file"

    def _next_character(self) -> str | None:
        """The next character that is no white space, or None at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in " \t\n\r":
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._read_chunk():
                return None

    def _read_chunk(self) -> bool:
        """Drop the text that has been used and read more; false at the end of the file."""
        self.dropped_lines, self.dropped_columns = self._position()
        self.text, self.at = self.text[self.at :], 0
        chunk = self.file.read(max(_CHUNK, len(self.text)))
        self.text += chunk
        self.ended = not chunk
        return not self.ended

    def _position(self) -> tuple[int, int]:
        """How many lines end before `at`, and how many columns of its line are before it."""
        used = self.text[: self.at]
        lines = used.count("\n")
        columns = len(used) - used.rfind("\n") - 1 if lines else self.dropped_columns + len(used)
        return self.dropped_lines + lines, columns

    def _value(self) -> Any:
        self._next_character()
        while True:
            start = self.at
            try:
                value, end = _DECODER.raw_decode(self.text, start)
            except json.JSONDecodeError as error:
                if self._may_continue(error) and self._read_chunk():
                    continue
                self.at += error.pos - start
                self._fail(f"the file is no JSON: {error.msg}")
            except RecursionError:
                self._fail("the file is nested too deep")
            except ValueError as error:  # an integer of thousands of digits
                self._fail(f"the file holds an impossible number: {error}")
            number_may_continue = isinstance(value, int | float) and not self.text[end:].strip(_OF_NUMBERS)
            if number_may_continue and self._read_chunk():
                continue
            self.length = end - start
            self.at = end
            return value

    def _may_continue(self, error: json.JSONDecodeError) -> bool:
        """Whether the error may only be that the value continues in the next chunk."""
        near_the_end = error.pos > len(self.text) - 16
        return not self.ended and (near_the_end or error.msg.startswith("Unterminated string"))

    def _fail(self, reason: str, value: str | None = None) -> NoReturn:
        line, column = (before + 1 for before in self._position())
        raise UserError(
            f"{reason} (at line {line} column {column})", self.remedy, file=self.path, value=value
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else Repeating(pairs)


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
