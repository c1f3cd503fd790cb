"""The files of a dataset's folder, as far as their names and first characters tell what they hold."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import LFS_POINTER, is_lfs_pointer
from pipeline.corpus.checks import Rejected
from pipeline.corpus.image_files import is_file, is_folder, is_hidden
from pipeline.corpus.json_rows import encoding_of

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_BESIDE_SPLITS = {
    "image", "images", "img", "imgs", "label", "labels", "annotation", "annotations", "set", "split", "data",
    "coco", "voc", "yolo", "dota", "v",
}  # fmt: skip
_HEAD = 1 << 16  # bytes that are looked at to tell what a file holds
TEXT_BYTES = 64 << 20  # the most that one file about one image can need


def listing(folder: Path) -> list[str]:
    """The visible files of a folder and its folders, from the folder, sorted; linked folders included.

    Raises:
        UserError: a folder cannot be read.
    """
    return in_order(visible_files(folder))


def in_order(names: Iterable[str]) -> list[str]:
    """Names of files, folder by folder."""
    return sorted(names, key=lambda name: name.split("/"))


def visible_files(folder: Path) -> Iterator[str]:
    """As `listing`, in no order."""
    folders, visited = [""], set()
    while folders:
        inside = folders.pop()
        real = os.path.realpath(folder / inside)
        if real in visited:
            continue
        visited.add(real)
        try:
            with os.scandir(folder / inside) as entries:
                for entry in entries:
                    name = f"{inside}/{entry.name}" if inside else entry.name
                    if is_hidden(entry.name):
                        continue
                    if is_folder(entry):
                        folders.append(name)
                    elif is_file(entry):
                        yield name
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            raise UserError(reason, "Check its permissions", file=folder / inside) from None


def split_of(path: str, *, file_too: bool = False) -> str | None:
    """The split that a folder of a path is named after, as in "train2017/a.jpg", the innermost first.

    Args:
        file_too: whether the file's own name can tell it too, as in "instances_val.json".
    """
    *folders, name = path.split("/")
    if file_too and (found := {_SPLITS[word] for word in _words(name) if word in _SPLITS}):
        return found.pop() if len(found) == 1 else None
    for folder in reversed(folders):
        words = _words(folder)
        found = {_SPLITS[word] for word in words if word in _SPLITS}
        if len(found) == 1 and all(word in _SPLITS or word in _BESIDE_SPLITS for word in words):
            return found.pop()
    return None


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", name.lower()) if word]


def head(path: Path) -> str:
    """The first characters of a file, whatever it holds; empty if it cannot be read.

    Raises:
        UserError: it is a git-LFS pointer, so nothing tells what it holds.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_HEAD)
    except OSError:
        return ""
    if is_lfs_pointer(data):
        raise UserError(*LFS_POINTER, file=path)
    return data.decode(encoding_of(data), "replace").removeprefix("\ufeff")


def read_bytes(path: Path) -> bytes:
    """A file about one image.

    Raises:
        Rejected: it is too large, a git-LFS pointer, or cannot be read.
    """
    try:
        if path.stat().st_size > TEXT_BYTES:
            reason = f"the file has more than {TEXT_BYTES >> 20} MiB, too many for one image"
            raise Rejected(reason, "Replace or remove the file")
        data = path.read_bytes()
    except OSError as error:
        raise Rejected(f"the file cannot be read: {error.strerror}", "Check its permissions") from None
    if is_lfs_pointer(data):
        raise Rejected(*LFS_POINTER)
    return data


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """0-based numbers and texts of the lines that are not blank.

    Raises:
        Rejected: the file is neither UTF-8 nor UTF-16, or `read_bytes` cannot read it.
    """
    data = read_bytes(path)
    try:
        text = data.decode(encoding_of(data))
    except UnicodeError as error:
        raise Rejected("the file is neither UTF-8 nor UTF-16", "Save it as UTF-8", None, error) from None
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))):
        if line := line.strip().strip("\0").strip():
            yield number, line
