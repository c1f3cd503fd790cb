"""Reader of Pascal VOC: one XML file with the root `annotation` for each image."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NoReturn
from xml.parsers import expat

from pipeline.base.progress import Progress
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import head, listing, read_bytes, split_of
from pipeline.corpus.reading import (
    Reading,
    Row,
    attributes_of,
    check_size,
    corners,
    numbers,
    rotation_of,
    turned,
)
from pipeline.corpus.split_lists import VOC_LISTS, read_lists
from pipeline.corpus.tables import Notes, Rejects

_ROOT = re.compile(r"<annotation[\s>]")
_TEXT = 10_000  # characters of an element
_DEPTH = 50  # elements within one another
_UNKNOWN = ("", "unknown", "unspecified", "none", "null")
# elements of an annotation that are no further values of its image
_USED = {"folder", "filename", "path", "size", "source", "owner", "segmented", "object"}


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """XML files in a folder `annotations`, or in one whose first XML file has the root `annotation`."""
    sorts: dict[str, bool] = {}
    found = []
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() != ".xml" or name.lower().endswith(".aux.xml"):  # GDAL writes such files
            continue
        inside = str(path.parent)
        if inside not in sorts:
            sorts[inside] = path.parent.name.lower() == "annotations" or bool(
                _ROOT.search(head(folder / name))
            )
        if sorts[inside]:
            found.append(name)
    return found


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """Read all VOC files of a folder; see `Reader`."""
    reading = Reading(folder, images, notes, rejects)
    names = listing(folder)
    splits = read_lists(reading, [name for name in names if VOC_LISTS.search(name)])
    for file in Progress(find(folder, names), unit="file", title=f"{folder.name}: VOC"):
        row = reading.row(file)
        try:
            yield _annotations(row, splits)
        except Rejected as error:
            row.reject(error)
    yield from reading.rest(splits)


KIND = Kind("VOC", find, read)


def _annotations(row: Row, splits: Mapping[str, str]) -> Annotations:
    root = parse(read_bytes(row.reading.folder / row.file))
    if root.tag != "annotation":
        raise Rejected("the root of the file is not 'annotation'", "Remove the file", "root", root.tag)
    image = _image(row, root)
    if (size := root.child("size")) is not None:
        check_size(size.value("width"), size.value("height"), image)
    row.claim(image)
    objects = [entry for parent in (root, *root.all("objects")) for entry in parent.all("object")]
    found = [_object(entry, row) for entry in objects]
    split = splits.get(image.image_id) or split_of(row.file) or split_of(image.file)
    annotations = Annotations(image.image_id, row.boxes(((None, box) for box in found), image), split)
    further = {
        entry.tag: entry.text.strip()
        for entry in root.children
        if entry.tag not in _USED and not entry.children
    }
    if (source := root.child("source")) is not None:
        further |= {f"source_{entry.tag}": entry.text.strip() for entry in source.children}
    row.describe(annotations, {key: text for key, text in further.items() if text.lower() not in _UNKNOWN})
    return annotations


def _image(row: Row, root: "Element") -> ImageFile:
    """The image that the file is called after, else the one that it names."""
    path = PurePosixPath(row.file)
    near, lookup = str(path.parent), row.reading.lookup
    stated = root.value("filename") or root.value("path")
    try:
        image = lookup.find(path.stem, near, split_of(row.file))
    except Rejected:
        if not stated:
            raise
        folder = root.value("folder")
        name = stated if not folder or "/" in stated.replace("\\", "/") else f"{folder}/{stated}"
        return lookup.find(name, near, split_of(row.file))
    bare = PurePosixPath(stated.replace("\\", "/")).name
    if bare and path.stem not in (bare, PurePosixPath(bare).stem):
        reason = f"the file names another image than {image.file}"
        row.count("names_disagree", Rejected(reason, "Correct it", "filename", stated))
    return image


def _object(entry: "Element", row: Row) -> Box | Rejected:
    try:
        named = entry if entry.value("name") else entry.child("possibleresult") or entry  # FAIR1M
        name = checks.name(named.value("name") or None, "name")
        words = entry.child("attributes")
        pairs = {} if words is None else dict(map(_attribute, words.children))
        outline, oriented = _outline(entry, rotation_of(pairs))
    except Rejected as error:
        return error
    if entry.value("difficult") not in ("", "0"):
        row.count("difficult_boxes", Rejected("the box is difficult", "It is kept", "difficult", name))
    return Box(name, outline, oriented, attributes_of(pairs))


def _attribute(entry: "Element") -> tuple[str, object]:
    """A name and a value as CVAT writes them."""
    value = entry.value("value")
    return entry.value("name"), value.lower() == "true" or value


def _outline(entry: "Element", degrees: float) -> tuple[tuple[tuple[float, float], ...], bool]:
    if (box := entry.child("bndbox")) is not None:
        x0, y0, x1, y1 = box.numbers("xmin", "ymin", "xmax", "ymax")
        left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        if degrees:
            middle = (left + right) / 2, (top + bottom) / 2
            return turned(*middle, right - left, bottom - top, math.radians(degrees)), True
        return ((left, top), (right, top), (right, bottom), (left, bottom)), False
    if (box := entry.child("robndbox")) is not None:
        if box.child("cx") is not None:
            return turned(*box.numbers("cx", "cy", "w", "h", "angle")), True
        ends = ("left_top", "right_top", "right_bottom", "left_bottom")
        return corners(box.numbers(*(f"{axis}_{end}" for end in ends for axis in "xy"))), True
    if (polygon := entry.child("polygon")) is not None:
        points = [point for point in polygon.children if point.children]
        if points:  # LabelMe's form: pt with x and y
            return corners([number for point in points for number in point.numbers("x", "y")]), False
        count = max(len(polygon.children) // 2, 3)
        return corners(polygon.numbers(*(f"{axis}{n}" for n in range(1, count + 1) for axis in "xy"))), False
    if (listed := entry.child("points")) is not None:  # FAIR1M's form: "x,y" in each, the first again at last
        found = [tuple(numbers(point.text.split(","), "points")) for point in listed.children]
        if len(found) < 3 or any(len(point) != 2 for point in found):
            raise Rejected("the object has no outline of points x,y", "Correct it", "points")
        outline = corners([*chain.from_iterable(found[:-1] if found[0] == found[-1] else found)])
        return outline, len(outline) == 4
    raise Rejected("the object has no box", "Add its bndbox", "bndbox")


@dataclass
class Element:
    """An XML element without its attributes."""

    tag: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def child(self, tag: str) -> "Element | None":
        return next((child for child in self.children if child.tag == tag), None)

    def all(self, tag: str) -> list["Element"]:
        return [child for child in self.children if child.tag == tag]

    def value(self, tag: str) -> str:
        """The text of a child; empty if there is none."""
        child = self.child(tag)
        return "" if child is None else child.text.strip()

    def numbers(self, *tags: str) -> list[float]:
        for tag in tags:
            if not self.value(tag):
                raise Rejected("the field is missing", "Add it", f"{self.tag}.{tag}")
        return numbers([self.value(tag) for tag in tags], self.tag)


def parse(data: bytes) -> Element:
    """The root of an XML file.

    Raises:
        Rejected: it is no XML, defines entities, or is nested too deep.
    """
    document = Element("")
    path = [document]

    def start(tag: str, _: object) -> None:
        if len(path) > _DEPTH:
            raise Rejected(f"the XML is more than {_DEPTH} elements deep", "Correct the file")
        path[-1].children.append(Element(tag))
        path.append(path[-1].children[-1])

    def end(_: str) -> None:
        path.pop()

    def text(characters: str) -> None:
        if len(path[-1].text) < _TEXT:  # more is no usable value, and joining it would take ever longer
            path[-1].text += characters

    def entity(*_: object) -> NoReturn:
        raise Rejected("the XML defines entities, which can grow without end", "Remove its DOCTYPE")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Rejected("the file is no XML", "Correct the file", None, error) from None
    except (ValueError, LookupError) as error:
        reason = "the file is in an encoding that the reader of XML does not know"
        raise Rejected(reason, "Save it as UTF-8, and say so in its first line", None, error) from None
    return document.children[0]
