"""Reader of COCO files: one JSON object with `images`, `annotations` and `categories`, in any order."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.progress import Progress
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.json_rows import read_members
from pipeline.corpus.layout import head, listing, split_of
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
from pipeline.corpus.spool import Spool
from pipeline.corpus.tables import Notes, Rejects

_NAMES = re.compile(r"annotations\.json|instances_.*\.json|.*coco.*\.json", re.IGNORECASE)
_OTHER_TASKS = ("captions_", "panoptic_", "person_keypoints_", "stuff_")  # of the files that COCO publishes
_LISTS = re.compile(r'"(images|annotations|categories)"\s*:\s*\[')
_COLLECTION = re.compile(r'"type"\s*:\s*"FeatureCollection"')
_NO_REMEDY = "There is nothing to correct"
_AGREES, _AGREES_SHARE = 2.0, 0.05  # pixels, or share of a side, by which a polygon may differ from its box


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """JSON files that are called as COCO's or begin as they do."""
    return [name for name in names if name.lower().endswith(".json") and _is_coco(folder, name)]


def _is_coco(folder: Path, name: str) -> bool:
    bare = PurePosixPath(name).name
    if bare.lower().startswith(_OTHER_TASKS):
        return False
    start = head(folder / name)
    if _COLLECTION.search(start) or start.lstrip()[:1] == "[":
        return False
    if _NAMES.fullmatch(bare):
        return True
    lists = set(_LISTS.findall(start)) if start.lstrip()[:1] == "{" else set()
    # Label Studio writes its classes alone into a file beside YOLO's
    return bool(lists) and (lists != {"categories"} or not start.rstrip().endswith("}"))


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """Read all COCO files of a folder; see `Reader`."""
    reading = Reading(folder, images, notes, rejects)
    for file in find(folder, listing(folder)):
        contents = _Contents(reading, file)
        try:
            contents.load()
            yield from contents.images_found()
        finally:
            contents.close()
    yield from reading.rest()


KIND = Kind("COCO", find, read)


class _Contents:
    """One file: its lists go through temporary databases, so that they may come in any order."""

    def __init__(self, reading: Reading, file: str) -> None:
        self.reading = reading
        self.file = file
        self.images, self.annotations = Spool(), Spool()
        self.categories: dict[str, str] = {}
        self.licences: dict[str, Any] = {}
        self.lists: set[str] = set()

    def close(self) -> None:
        self.images.close()
        self.annotations.close()

    def load(self) -> None:
        path = self.reading.folder / self.file
        take = {
            "images": self._image,
            "annotations": self._annotation,
            "categories": self._category,
            "licenses": self._licence,
        }
        members = Progress(read_members(path), unit="row", title=path.name)
        for key, number, value in members:
            if key not in take:
                continue
            if number is not None:
                take[key](number, value)
            elif value == []:
                self.lists.add(key)
            elif value is not None:
                raise UserError("the value is no list", "Write it as [...]", file=path, field=key)
        if "images" not in self.lists:
            raise UserError("the file has no list 'images'", "Add it: COCO's layout needs it", file=path)

    def _category(self, number: int, value: Any) -> None:
        try:
            category = Record.checked(value)
            category_id, name = category.identifier("id"), category.name("name")
            if category_id in self.categories:
                reason = "the id of a category stands twice; the first holds"
                raise Rejected(reason, "Remove one", "id", value)
            self.categories[category_id] = name
        except Rejected as error:
            self._at(number).count("categories_left_out", error)

    def _licence(self, number: int, value: Any) -> None:
        if isinstance(value, dict) and (name := value.get("name") or value.get("url")):
            self.licences.setdefault(str(checks.as_whole(value.get("id"))), name)

    def _image(self, number: int, value: Any) -> None:
        row = self.reading.row(self.file, number)
        try:
            image = Record.checked(value)
            row.record_id = image.identifier("id")
            image.text("file_name", checks.PATH_LENGTH)
            kept = {key: _shallow(cell) for key, cell in value.items()}
            if not self.images.add(row.record_id, [number, kept], row.record_id):
                raise Rejected("the id of an image stands twice; the first holds", "Remove one", "id", value)
        except Rejected as error:
            row.reject(error)

    def _annotation(self, number: int, value: Any) -> None:
        row = self._at(number)
        try:
            annotation = Record.checked(value)
            annotation_id = annotation.optional("id")
            image_id, category = annotation.identifier("image_id"), annotation.identifier("category_id")
            if checks.as_whole(annotation.get("iscrowd")) in (1, "1"):
                error = Rejected("the annotation is of a crowd", _NO_REMEDY, "iscrowd", 1)
                row.count("crowds_left_out", error)
                return
            unique = None if annotation_id is None else annotation.identifier("id")
            words = annotation.get("attributes")
            degrees = rotation_of(words)
            found = [number, category, _outline(annotation, row, degrees), attributes_of(words), degrees != 0]
            if not self.annotations.add(image_id, found, unique):
                reason = "the id of an annotation stands twice; the first holds"
                raise Rejected(reason, "Give each annotation its own id", "id", annotation_id)
        except Rejected as error:
            row.count("boxes_left_out", error)

    def _at(self, number: int) -> Row:
        return Row(self.reading, self.file, number)

    def images_found(self) -> Iterator[Annotations]:
        """What the file says of each image, in the order of its list of images."""
        for image_id, (number, values) in self.images.entries():
            row = Row(self.reading, self.file, number, image_id)
            found = self.annotations.take(image_id)
            try:
                near, split = str(PurePosixPath(self.file).parent), split_of(self.file, file_too=True)
                image = self.reading.lookup.find(values["file_name"], near, split)
                check_size(values.get("width"), values.get("height"), image)
                row.claim(image)
            except Rejected as error:
                row.reject(error)
                continue
            annotations = Annotations(image.image_id, split=split or split_of(image.file))
            if "annotations" in self.lists:
                annotations.boxes = row.boxes(map(self._box, found), image)
            row.describe(annotations, self._further(values))
            yield annotations
        for image_id, (number, *_) in self.annotations.left():
            reason = "the list 'images' does not hold the image of the annotation"
            unknown = Rejected(reason, "Add the image, or remove the annotation", "image_id", image_id)
            self._at(number).count("annotations_without_image", unknown)

    def _further(self, values: Mapping[str, Any]) -> dict[str, Any]:
        further = {
            key: value
            for key, value in values.items()
            if key not in ("id", "file_name", "width", "height", "license")
        }
        if (licence := values.get("license")) is not None:
            further.setdefault("license", self.licences.get(str(checks.as_whole(licence)), licence))
        return further

    def _box(self, stored: list[Any]) -> tuple[int, Box | Rejected]:
        number, category, outline, words, oriented = stored
        if category not in self.categories:
            reason = "the list 'categories' does not hold the category of the annotation"
            return number, Rejected(reason, "Add it, or remove the annotation", "category_id", category)
        return number, Box(self.categories[category], corners(outline), oriented, tuple(words))


def _shallow(value: Any) -> Any:
    """The value without what stands deeper in it than the numbers of bounds: no column can hold that."""
    if isinstance(value, dict | list) and len(value) > 4:
        return []
    if isinstance(value, dict):
        return {key: None if isinstance(cell, dict | list) else cell for key, cell in value.items()}
    return (
        [None if isinstance(cell, dict | list) else cell for cell in value]
        if isinstance(value, list)
        else value
    )


def _outline(annotation: Record, row: Row, degrees: float) -> list[float]:
    """Coordinates of an annotation's polygon, if it has one of a single part, else of its turned box.

    Raises:
        Rejected: it has neither a box nor a polygon.
    """
    value = annotation.get("bbox")
    box = None if value in (None, []) else checks.bbox(value, "bbox")
    masks = annotation.get("segmentation")
    parts = _parts(masks)
    if box is None:
        if not parts:
            reason = "the annotation has only a mask (RLE)" if masks else "the annotation has no box"
            raise Rejected(reason, "Add its bbox", "bbox", value)
        xs, ys = [x for part in parts for x in part[::2]], [y for part in parts for y in part[1::2]]
        box = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    elif isinstance(masks, dict):
        row.count("masks_ignored", Rejected("the mask is not read", _NO_REMEDY, "segmentation"))
    if len(parts) == 1 and _agrees(parts[0], box):
        return parts[0]
    x, y, w, h = box
    if w <= 0 or h <= 0:
        raise Rejected("the box has no area", "Correct the box", "bbox", value)
    if degrees:
        return list(chain.from_iterable(turned(x + w / 2, y + h / 2, w, h, math.radians(degrees))))
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def _parts(masks: Any) -> list[list[float]]:
    """The polygons of a segmentation; none if one of them cannot be used, or if it is a mask."""
    if not isinstance(masks, list):
        return []
    if masks and not isinstance(masks[0], list):
        masks = [masks]
    parts = []
    for part in masks:
        if not isinstance(part, list) or len(part) < 6 or len(part) % 2:
            return []
        try:
            parts.append(numbers(part, "segmentation"))
        except Rejected:
            return []
    return parts


def _agrees(part: list[float], box: tuple[float, float, float, float]) -> bool:
    x, y, w, h = box
    ends = min(part[::2]) - x, min(part[1::2]) - y, max(part[::2]) - x - w, max(part[1::2]) - y - h
    return all(
        abs(end) <= max(_AGREES, _AGREES_SHARE * side) for end, side in zip(ends, (w, h, w, h), strict=True)
    )
