"""The files of a benchmark; an error names file, row, field and value."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, refuse_lfs_pointers
from pipeline.corpus.json_rows import read_rows

_REMEDY = "Restore the file as it was published"
_LAYOUT = "Put it there, or correct ROOT; docs/benchmarks.md shows the layout"


@dataclass(frozen=True)
class Row:
    """One row of a file, 0-based, or the whole file where `number` is None."""

    file: Path
    number: int | None
    values: Mapping[str, Any]

    def fail(self, reason: str, field: str, value: object = None) -> NoReturn:
        """Raise the error of a field."""
        raise UserError(reason, _REMEDY, file=self.file, row=self.number, field=field, value=value)

    def value(self, field: str, kind: type = object) -> Any:
        """The field's value, of this JSON type."""
        if field not in self.values:
            self.fail("the field is missing", field)
        value = self.values[field]
        if not isinstance(value, kind):
            self.fail(f"the value is no {_NAMES[kind]}", field, value)
        return value

    def text(self, field: str) -> str:
        """A text that is not blank."""
        text = self.value(field, str)
        if not text.strip():
            self.fail("the text is empty", field)
        return text

    def query_text(self, field: str) -> str:
        """A query's text as it was published; some are blank."""
        return self.value(field, str)

    def texts(self, field: str) -> list[str]:
        """A list of texts, blank ones among them."""
        texts = self.value(field, list)
        for text in texts:
            if not isinstance(text, str):
                self.fail("an entry is no text", field, text)
        return texts

    def name(self, field: str) -> str:
        """An id: a text, or a whole number, which becomes its digits."""
        value = self.value(field)
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
            self.fail("an id is a text or a whole number", field, value)
        return str(value)

    def image(self, field: str, gallery: Collection[str]) -> str:
        """The id of an image of the gallery."""
        name = self.name(field)
        if name not in gallery:
            self.fail("the image is not in the split's list of images", field, name)
        return name

    def images(self, field: str, gallery: Collection[str]) -> list[str]:
        """A list of such ids, each once, in their order."""
        entries = (Row(self.file, self.number, {field: entry}) for entry in self.value(field, list))
        return list(dict.fromkeys(entry.image(field, gallery) for entry in entries))

    def path(self, field: str) -> PurePosixPath:
        """A path that stays inside the folder it is relative to."""
        path = PurePosixPath(self.text(field))
        if path.is_absolute() or ".." in path.parts:
            self.fail("the path leads out of the benchmark's folder", field, path)
        return path


_NAMES: dict[type, str] = {str: "text", list: "list", dict: "JSON object"}


def read_list(path: Path) -> Iterator[Row]:
    """The rows of a file that holds one JSON list of objects.

    Raises:
        UserError: the file is missing or no such list.
    """
    require(path)
    for number, values in read_rows(path):
        if not isinstance(values, dict):
            raise UserError("the row is no JSON object", _REMEDY, file=path, row=number, value=values)
        yield Row(path, number, values)


def read_names(path: Path) -> list[str]:
    """The ids of a file that holds one JSON list of them, each once.

    Raises:
        UserError: the file is missing or no such list.
    """
    require(path)
    names = (Row(path, number, {"id": value}).name("id") for number, value in read_rows(path))
    return list(dict.fromkeys(names))


def read_object(path: Path) -> Row:
    """A file that holds one JSON object.

    Raises:
        UserError: the file is missing or no JSON object.
    """
    require(path)
    return Row(path, None, read_json(path, _REMEDY))


def require(path: Path) -> None:
    """Raise a `UserError` where a file is missing, or a git-LFS pointer."""
    if not path.is_file():
        raise UserError("the benchmark's file is missing", _LAYOUT, file=path)
    refuse_lfs_pointers([path])


def sorted_gallery(files: Mapping[str, Path], listing: Path) -> dict[str, Path]:
    """The image files in the order of their ids; `checked_hashes` says whether they can be used.

    Raises:
        UserError: `listing`, which names them, names none.
    """
    if not files:
        raise UserError("the file lists no image", _REMEDY, file=listing)
    return dict(sorted(files.items()))
