"""The image files of a dataset's folder, and which of them a graph means."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from pipeline.base.errors import UserError
from pipeline.base.images import SUFFIXES
from pipeline.corpus import checks
from pipeline.corpus.checks import Rejected

IMAGES_FOLDER, _VOC_IMAGES = "images", "JPEGImages"
# folders that systems and network drives add; every name that starts with a dot is hidden too
_HIDDEN = {
    "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "__macosx",
    "lost+found", "system volume information",
}  # fmt: skip


class ImageFiles:
    """Image files in `images/` and its folders, linked ones included; each real folder counts once.

    Args:
        top: another folder than `images/`, from the dataset's folder; "" is the dataset's folder itself.

    Attributes:
        names: from the dataset's folder, sorted; hidden files and files in hidden folders are not among them.
        counts: `ignored_files` that are no images, and `hidden_files`, images that are hidden.

    Raises:
        UserError: a folder cannot be read.
    """

    def __init__(self, folder: Path, top: str = IMAGES_FOLDER) -> None:
        self.folder, self.top = folder, top
        self.counts: Counter[str] = Counter()
        try:
            self.names = sorted(self._listed(), key=lambda name: name.split("/"))
        except OSError as error:
            remedy = "Check its permissions"
            raise UserError(
                f"the folder cannot be read: {error.strerror}", remedy, file=error.filename
            ) from None
        self._by_name = {_normal(name): name for name in reversed(self.names)}
        self._by_stem = {self.stem(name): name for name in reversed(self.names)}

    def find(self, image_id: str, file_name: object) -> str:
        """The file of an image, from the dataset's folder. It may not exist.

        Names are equal if they are the same text in Unicode, composed or decomposed. Without a `file_name`
        the id is the name of a file in `images/`, with or without its ending.

        Raises:
            Rejected: the name lies outside the dataset's folder.
        """
        if file_name is not None:
            if isinstance(file_name, str) and file_name in self._usual_names:
                return file_name
            file = checks.relative_path(file_name, "file_name")
            if self.exists(file):
                return file
            return self._by_name.get(_normal(file), file)
        name = image_id.removeprefix(self._below(""))
        if (found := self._by_stem.get(_normal(name))) is not None:
            return found
        by_id = checks.relative_path(self._below(name), "image_id")
        if os.path.isfile(self.folder / by_id):
            return by_id
        ends_as_image = PurePosixPath(by_id).suffix.lower() in SUFFIXES
        return self._by_name.get(_normal(by_id), by_id if ends_as_image else f"{by_id}.jpg")

    def exists(self, file: str) -> bool:
        """Whether a name is that of a file, a folder or a link."""
        return file in self._listed_names or os.path.lexists(self.folder / file)

    def meant(self, missing: str) -> str | None:
        """The one file in `images/` that a name without a file can mean.

        It may differ in folder, case or ending, or be percent-encoded.
        """
        path = PurePosixPath(missing.replace("\\", "/"))
        if (inside := self._by_name.get(_normal(self._below(str(path))))) is not None:
            return inside
        for key in (path.name, path.stem, unquote(path.name)):
            alike = self._alike.get(_normal(key).casefold(), [])
            if alike:
                return alike[0] if len(alike) == 1 else None
        return None

    def missing(self, file: str, reason: str = "the image file is missing") -> Rejected:
        """Why there is no such file, and the file that its name can mean."""
        if (meant := self.meant(file)) is None:
            return Rejected(reason, "Replace or remove the file", "file_name", file)
        return Rejected(
            f"{reason}, but {meant} is there",
            f"Write it with its folder and ending: {meant}",
            "file_name",
            file,
        )

    def listed_as(self, file: str) -> str:
        """The name under which a file is listed, if `file` reaches it through a link."""
        if file in self._listed_names:
            return file
        real = os.path.realpath(self.folder / file)
        if real == os.path.join(os.path.realpath(self.folder), file):
            return file
        return self._by_real_path.get(real, file)

    def stem(self, file: str) -> str:
        """The id of an image that no graph names: its file's name without `top` and without the ending."""
        return _normal(file.removeprefix(self._below(""))).rsplit(".", 1)[0]

    def _below(self, name: str) -> str:
        return f"{self.top}/{name}" if self.top else name

    @cached_property
    def _listed_names(self) -> set[str]:
        return set(self.names)

    @cached_property
    def _usual_names(self) -> set[str]:
        """Those that need no further look: `checks.relative_path` gives them as they are."""
        return {
            name
            for name in self.names
            if name.isprintable() and name == name.strip() and len(name) <= checks.PATH_LENGTH
        }

    @cached_property
    def _by_real_path(self) -> dict[str, str]:
        return {os.path.realpath(self.folder / name): name for name in reversed(self.names)}

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        """Files by their bare name, and by it without its ending, in any case."""
        alike = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(name)
            for key in (path.name, path.stem):
                alike[_normal(key).casefold()].append(name)
        return alike

    def _listed(self) -> Iterator[str]:
        """Names of the image files. Linked folders come last, so that a file's name has no link if it can."""
        top = os.path.realpath(self.folder / self.top)
        real, linked = (
            [(self.top, top)],
            list[tuple[str, str]](),
        )  # names, and what they are without links
        visited: set[str] = set()
        while real or linked:
            folder, target = real.pop() if real else linked.pop(0)
            if target in visited or (top != target and Path(top).is_relative_to(target)):
                continue  # a link back, which would never end
            visited.add(target)
            with os.scandir(self.folder / folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    name = f"{folder}/{entry.name}".removeprefix("/")
                    hidden = is_hidden(entry.name)
                    if is_folder(entry):
                        if hidden:
                            self._count_hidden(entry.path)
                        else:
                            if entry.is_symlink():
                                linked.append((name, os.path.realpath(entry.path)))
                            else:
                                real.append((name, f"{target}/{entry.name}"))
                    elif is_image(entry.name) and is_file(entry):
                        if hidden:
                            self.counts["hidden_files"] += 1
                        else:
                            yield name
                    elif not hidden:
                        self.counts["ignored_files"] += 1

    def _count_hidden(self, folder: str) -> None:
        folders = [folder]
        while folders:  # os.walk would recurse, and folders can be very deep
            with suppress(OSError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif is_image(entry.name) and not entry.is_dir():
                        self.counts["hidden_files"] += 1


def images_top(folder: Path) -> str:
    """The folder of a dataset that holds its images: `images`, VOC's, or "", the dataset's folder itself."""
    return next((name for name in (IMAGES_FOLDER, _VOC_IMAGES) if (folder / name).is_dir()), "")


def name_in_images(file: str) -> str:
    """A file's name from the folder `images/`, in composed Unicode."""
    return _normal(file.removeprefix("./").removeprefix(f"{IMAGES_FOLDER}/"))


def is_hidden(name: str) -> bool:
    """Whether people do not see a file or folder of this name, or a system made it."""
    return name.startswith(".") or name.casefold() in _HIDDEN


def is_image(name: str) -> bool:
    """Whether a file's name ends as those of images do."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a folder, or a link to one; a link to itself is nothing."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a regular file, or a link to one."""
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file()


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)
