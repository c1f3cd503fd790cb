"""What all readers of annotations share: images are found, boxes checked, faults counted."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.base.schemas import SPLITS
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import split_of
from pipeline.corpus.lookup import ImageLookup
from pipeline.corpus.tables import Notes, Rejects

TABLE = "scene_graphs"  # where rejected rows of annotations are counted

# keys of an image's further values, the first that is there holds; any other keeps its own name
PLACE = (
    "place", "site", "location", "city", "town", "region", "video", "video_name", "video_id", "sequence",
)  # fmt: skip
NAMED = {
    "date": ("date", "date_captured", "acquisition_date", "acquired", "datetime", "timestamp"),
    "licence": ("licence", "license"),
    "gsd": ("gsd", "ground_sampling_distance"),
    "crs": ("crs",),
}
_EXTRAS = 100  # further values of one image at most
_VALUE_LENGTH = 1000


class Reading:
    """One reading of a dataset's annotations."""

    def __init__(self, folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects) -> None:
        self.folder = folder
        self.images = images
        rejected = (row["file"] for row in rejects.rows if row["table"] == "images")
        self.lookup = ImageLookup(images, rejected)
        self.notes = notes
        self.rejects = rejects

    def row(self, file: str, number: int | None = None) -> "Row":
        """A row, or the whole of a file, that speaks of an image."""
        return Row(self, file, number)

    def rest(self, splits: Mapping[str, str] | None = None) -> Iterator[Annotations]:
        """The split of each image that no row speaks of, by a list of images or by its folder."""
        for image_id, image in self.images.items():
            if not self.lookup.is_claimed(image_id):
                split = (splits or {}).get(image_id) or split_of(image.file)
                if split is not None:
                    yield Annotations(image_id, split=split)


@dataclass
class Row:
    """A row that speaks of an image; `number` is its position in the file, None for the whole file."""

    reading: Reading
    file: str
    number: int | None = None
    record_id: object = None

    @property
    def name(self) -> str:
        return self.file if self.number is None else f"{self.file} row {self.number}"

    def reject(self, error: Rejected) -> None:
        """Reject the row; usable rows are counted as seen where their graphs are made."""
        self.reading.rejects.seen[TABLE] += 1
        self.reading.rejects.add(TABLE, self.reading.folder / self.file, self.number, self.record_id, error)

    def count(self, kind: str, error: Rejected, number: int | None = None) -> None:
        """Count what was left out or noticed; `number` is the row or line in the file."""
        file = checks.printable(str(self.reading.folder / self.file), limit=4096)
        number = self.number if number is None else number
        self.reading.notes.count(kind, first=error.problem(file, number))

    def claim(self, image: ImageFile) -> ImageFile:
        """Say that this row speaks of an image.

        Raises:
            Rejected: another row does.
        """
        self.record_id = image.image_id
        return self.reading.lookup.claim(image, self.name)

    def boxes(self, found: Iterable[tuple[int | None, Box | Rejected]], image: ImageFile) -> list[Box]:
        """The usable ones among numbered boxes; each other one is counted."""
        boxes = []
        for number, box in found:
            try:
                if isinstance(box, Rejected):
                    raise box
                check_box(box, image)
            except Rejected as error:
                self.count("boxes_left_out", error, number)
            else:
                boxes.append(box)
        return boxes

    def describe(self, found: Annotations, values: Mapping[str, Any]) -> None:
        """Put an image's further values where they belong; those that no column can hold are counted."""
        taken: set[str] = set()
        for names in (PLACE, *NAMED.values(), ("bounds",), ("scene",), ("split",)):
            key = next((key for key in _present(values, names)), None)
            if key is None:
                continue
            if names is not PLACE or key == "place":  # a site or a video stays a column of its own too
                taken.add(key)
            try:
                self._put(found, names[0], values[key], key)
            except Rejected as error:
                self.count("extras_left_out", error)
        for key, value in values.items():
            if key in taken or value is None or checks.is_nan(value) or value == "":
                continue
            try:
                if len(found.extras) >= _EXTRAS:
                    raise Rejected(f"an image has more than {_EXTRAS} values", "Remove some", str(key))
                found.extras[checks.name(key, "a key")] = _scalar(value, checks.printable(key))
            except Rejected as error:
                self.count("extras_left_out", error)

    def _put(self, found: Annotations, meaning: str, value: Any, key: str) -> None:
        if meaning == "place":
            found.place = checks.identifier(value, key)
        elif meaning == "scene":
            found.scene = checks.text(value, key, checks.SCENE_LENGTH)
        elif meaning == "split":
            name = split_of(f"{value}/") if isinstance(value, str) else None
            if name is None:
                raise Rejected("the split is unknown", f"Use one of {', '.join(SPLITS)}", key, value)
            found.split = name
        elif meaning == "bounds":
            found.extras["bounds"] = _bounds(value, key)
        elif meaning == "gsd":
            number = as_number(value)
            if number is None or not (0 < number < math.inf):
                raise Rejected("the value is no number above 0", "Write metres per pixel", key, value)
            found.extras["gsd"] = number
        else:
            found.extras[meaning] = checks.text(
                str(value) if isinstance(value, int) else value, key, _VALUE_LENGTH
            )


def _present(values: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    """The keys of `values` that are one of `names`, in any case, and hold something."""
    by_name = {key.lower(): key for key in reversed(list(values)) if isinstance(key, str)}
    for name in names:
        value = values[by_name[name]] if name in by_name else None
        blank = isinstance(value, str) and value.strip().lower() in ("", "null", "none", "nan", "unknown")
        if value is not None and not blank and not checks.is_nan(value):
            yield by_name[name]


def _scalar(value: Any, field: str) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not -(2**63) <= value < 2**63:
            raise Rejected("the number is too large", "Correct it", field, value)
        return value
    if not isinstance(value, str):
        raise Rejected("the value is no text and no number", "Write it as one", field, value)
    return checks.text(value, field, _VALUE_LENGTH)


def _bounds(value: Any, field: str) -> list[float]:
    """Left, bottom, right and top, from a list or from an object of these names."""
    values = (
        [value.get(key) for key in ("left", "bottom", "right", "top")] if isinstance(value, dict) else value
    )
    if not isinstance(values, list) or len(values) != 4:
        raise Rejected("bounds are four numbers", "Write [left, bottom, right, top]", field, value)
    return numbers(values, field)


def as_number(value: Any) -> float | None:
    """A number, or a text of one, as a float; None if it is none, not finite, or too large for one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and "_" in value:  # Python takes 1_0 for 10
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def numbers(values: Sequence[Any], field: str) -> list[float]:
    """Coordinates as floats.

    Raises:
        Rejected: one of them is no finite number.
    """
    if {type(value) for value in values} <= {int, float}:  # the usual case, which is many times faster
        with suppress(OverflowError):
            found = list(map(float, values))
            if all(map(math.isfinite, found)):
                return found
    found = []
    for value in values:
        number = as_number(value)
        if number is None:
            raise Rejected("a coordinate is no finite number", "Correct it", field, value)
        found.append(number)
    return found


def corners(coordinates: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Corners of x1, y1, x2, y2, ..."""
    return tuple(zip(coordinates[::2], coordinates[1::2], strict=True))


def turned(x: float, y: float, w: float, h: float, angle: float) -> tuple[tuple[float, float], ...]:
    """Corners of a box of size w x h round (x, y), turned clockwise by an angle in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    ends = ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    return tuple((x + a * cos - b * sin, y + a * sin + b * cos) for a, b in ends)


def check_box(box: Box, image: ImageFile) -> None:
    """Refuse a box of which nothing can be seen.

    Raises:
        Rejected: it is not finite, has no area, or lies outside the image.
    """
    x, y, w, h = box.bounds
    value = f"{box.name}: {[x, y, w, h]}"
    if not all(map(math.isfinite, (*chain.from_iterable(box.outline), w, h, x + w, y + h))):
        raise Rejected("the box is not finite", "Correct the box", None, value)
    if w <= 0 or h <= 0 or _area(box.outline) == 0:
        raise Rejected("the box has no area", "Correct the box", None, value)
    if x >= image.width or y >= image.height or x + w <= 0 or y + h <= 0:
        reason = f"the box lies outside the image, which is {image.width} x {image.height} pixels"
        raise Rejected(reason, "Correct the box", None, value)


def _area(outline: Sequence[tuple[float, float]]) -> float:
    """Twice the area inside an outline, with a sign; 0 for corners on one line."""
    x0, y0 = outline[0]
    following = (*outline[1:], outline[0])
    return sum(
        (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        for (x1, y1), (x2, y2) in zip(outline, following, strict=True)
    )


def check_size(width: Any, height: Any, image: ImageFile) -> None:
    """Refuse annotations of an image of another size; a size of 0, or none, states nothing.

    Raises:
        Rejected: names both sizes.
    """
    stated = as_number(width), as_number(height)
    if not all(stated) or stated == (image.width, image.height):
        return
    shown = f"{checks.printable(width)} x {checks.printable(height)}"
    reason = f"the annotations are of an image of {shown} pixels, but it has {image.width} x {image.height}"
    raise Rejected(reason, "Correct the size, or use the image that was annotated", "width", shown)


def attributes_of(values: Any) -> tuple[str, ...]:
    """Words for an object from a list of texts, or from the texts and the true marks of an object.

    Marks of annotation tools, which nobody sees, and what is no word are passed by.
    """
    entries: list[Any] = []
    if isinstance(values, list):
        entries = values
    elif isinstance(values, dict):
        entries = [
            key if value is True else value
            for key, value in values.items()
            if str(key).lower() not in _MARKS and (value is True or isinstance(value, str))
        ]
    words = []
    for entry in entries:
        try:
            word = checks.name(entry, "attributes")
        except Rejected:
            continue
        if any(map(str.isalpha, word)) and word.lower() not in ("true", "false", "none", "null"):
            words.append(word)
    return tuple(dict.fromkeys(words))


def rotation_of(attributes: Any) -> float:
    """The degrees by which an object's box is to be turned clockwise, as CVAT writes them; 0 if none."""
    return as_number(attributes.get("rotation")) or 0.0 if isinstance(attributes, dict) else 0.0


_MARKS = {
    "occluded",
    "truncated",
    "difficult",
    "iscrowd",
    "track_id",
    "keyframe",
    "rotation",
    "outside",
    "id",
}
