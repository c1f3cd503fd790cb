"""Reader of YOLO: one text file for each image, with a class and shares of its width and height a line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.progress import Progress
from pipeline.base.yaml_file import read_mapping
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import head, listing, read_lines, split_of
from pipeline.corpus.reading import Reading, Row, corners, numbers
from pipeline.corpus.split_lists import DARKNET_LISTS, read_lists
from pipeline.corpus.tables import Notes, Rejects
from pipeline.corpus.text_kinds import YOLO, text_files

_REMEDY = "Add a file of the classes' names: classes.txt, obj.names or data.yaml"
_YAML_NAMES = re.compile(r"^names\s*:", re.MULTILINE)


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """Text files in a folder `labels`, or in one whose first text with lines has YOLO's."""
    return text_files(folder, names)[YOLO]


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """Read all YOLO files of a folder; see `Reader`."""
    reading = Reading(folder, images, notes, rejects)
    names = listing(folder)
    classes, keypoints = read_classes(folder, names)
    splits = read_lists(reading, [name for name in names if DARKNET_LISTS.match(name)])
    for file in Progress(find(folder, names), unit="file", title=f"{folder.name}: YOLO"):
        row = reading.row(file)
        try:
            yield _annotations(row, classes, keypoints, splits)
        except Rejected as error:
            row.reject(error)
    yield from reading.rest(splits)


KIND = Kind("YOLO", find, read)


def read_classes(folder: Path, names: Sequence[str]) -> tuple[dict[int, str], bool]:
    """The classes' names by number, and whether keypoints stand behind the boxes.

    Raises:
        UserError: there is no file of them, it cannot be used, or two of them differ.
    """
    first: tuple[str, dict[int, str]] | None = None
    keypoints = False
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() in (".yaml", ".yml") and _YAML_NAMES.search(head(folder / name)):
            values = read_mapping(folder / name, _REMEDY, _REMEDY)
            keypoints |= "kpt_shape" in values
            found = _from_yaml(values.get("names"), folder / name)
        elif path.suffix.lower() == ".names" or path.name.lower() in (
            "classes.txt",
            "predefined_classes.txt",
        ):
            found = _from_lines(folder / name)
        else:
            continue
        if first is not None and first[1] != found:
            reason = f"the classes' names differ from those of {first[0]}"
            raise UserError(reason, "Keep one of both files", file=folder / name)
        first = first or (name, found)
    if first is None:
        raise UserError("nothing says what the classes of the YOLO files are called", _REMEDY, file=folder)
    return first[1], keypoints


def _from_yaml(names: Any, file: Path) -> dict[int, str]:
    entries = list(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(entries, list | dict):
        remedy = "Write [car, bus] or {0: car, 1: bus}"
        raise UserError("'names' is no list and no mapping", remedy, file=file, field="names", value=names)
    classes = {}
    for number, name in entries.items() if isinstance(entries, dict) else entries:
        try:
            key = int(number) if str(number).isdecimal() and len(str(number)) < 10 else None
            if key is None:
                raise Rejected("the number of a class is no whole number", "Correct it", "names", number)
            is_number = isinstance(name, int | float) and not isinstance(name, bool)
            classes[key] = checks.name(str(name) if is_number else name, f"names[{key}]")
        except Rejected as error:
            reason, remedy = error.reason, error.remedy
            raise UserError(reason, remedy, file=file, field=error.field, value=error.value) from None
    return classes


def _from_lines(file: Path) -> dict[int, str]:
    """One name a line; blank lines at the end are passed by, others are classes without a usable name."""
    try:
        return {number: checks.name(line, "classes") for number, line in read_lines(file)}
    except Rejected as error:
        raise UserError(error.reason, error.remedy, file=file, value=error.value) from None


def _annotations(
    row: Row, classes: Mapping[int, str], keypoints: bool, splits: Mapping[str, str]
) -> Annotations:
    path = PurePosixPath(row.file)
    parts = ["images" if part.lower() == "labels" else part for part in path.parent.parts]
    name = "/".join([*parts, path.stem])
    image = row.reading.lookup.find(name, str(path.parent), split_of(row.file))
    lines = [
        (number, line.replace(",", " ").split()) for number, line in read_lines(row.reading.folder / row.file)
    ]
    polygons = any(len(fields) > 7 and len(fields) != 9 for _, fields in lines)
    found = [(number, _box(fields, classes, image, keypoints, polygons)) for number, fields in lines]
    row.claim(image)
    split = splits.get(image.image_id) or split_of(row.file) or split_of(image.file)
    return Annotations(image.image_id, row.boxes(found, image), split)


def _box(
    fields: Sequence[str], classes: Mapping[int, str], image: ImageFile, keypoints: bool, polygons: bool
) -> Box | Rejected:
    """A box of a class and 4 shares, perhaps with a detector's score; 8 are the corners of an oriented box.

    More are a polygon's. Where the file has other polygons (`polygons`), 8 are a polygon's too.
    """
    try:
        number, *shares = numbers(fields, "line") or [-1.0]
        if number not in classes:
            remedy = "Correct it, or add the class to the list"
            raise Rejected("no list of classes has this number", remedy, "class", " ".join(fields))
        name = classes[int(number)]
        if len(shares) in (4, 5) or (keypoints and len(shares) > 5):
            x, y, w, h = shares[:4]
            w, h = w * image.width, h * image.height
            if w <= 0 or h <= 0:
                raise Rejected("the box has no area", "Correct the box", None, " ".join(fields))
            return Box.upright(name, x * image.width - w / 2, y * image.height - h / 2, w, h)
        if len(shares) < 6 or len(shares) % 2:
            raise Rejected(
                "the line has neither 4 shares nor an outline's", "Correct it", None, " ".join(fields)
            )
        scaled = [share * (image.height if n % 2 else image.width) for n, share in enumerate(shares)]
        return Box(name, corners(scaled), oriented=len(shares) == 8 and not polygons)
    except Rejected as error:
        return error
