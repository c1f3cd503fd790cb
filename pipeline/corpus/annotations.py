"""What a reader of annotations gets and gives: images as they are, and what the files say of each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.boxes.box import Box
from pipeline.corpus.tables import Notes, Rejects


@dataclass(frozen=True)
class Georeference:
    """Where an image lies on a map.

    `transform` is (a, b, c, d, e, f): the pixel corner (column, row) lies at x = a column + b row + c and
    y = d column + e row + f, in the units of `crs` (as "EPSG:32633" or WKT; None if it is not known).
    """

    transform: tuple[float, float, float, float, float, float]
    crs: str | None = None


@dataclass(frozen=True)
class ImageFile:
    """An image of a dataset before it is cut into tiles; `file` is relative to the dataset's folder."""

    image_id: str
    file: str
    width: int
    height: int
    georeference: Georeference | None = None


@dataclass
class Annotations:
    """What the files of a dataset say of one image.

    Attributes:
        boxes: None if no file speaks of the image; an empty list is an image without objects.
        split: train, val or test, where it is stated.
        place: a name of where the image was taken, where it is stated.
        extras: further columns: date, crs, bounds, gsd, licence by these names, any other by its own.
        scene: a word for the whole image, such as "airport", where it is stated.
    """

    image_id: str
    boxes: list[Box] | None = None
    split: str | None = None
    place: str | None = None
    scene: str | None = None
    extras: dict[str, Any] = field(default_factory=dict)


class Reader(Protocol):
    """The annotations of a dataset's folder, in one kind of files.

    Files are streamed where they can be large. What cannot be used costs that box, or that row: it is
    counted in `notes` or added to `rejects`, and a rejected row counts as seen. A box that reaches over the
    edge of its image stays as it is: whoever cuts it counts it.
    """

    def __call__(
        self, folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
    ) -> Iterator[Annotations]:
        """Yield what is said of each image at most once; `images` holds the usable ones by id.

        Raises:
            UserError: a file as a whole cannot be used.
        """
        ...


@dataclass(frozen=True)
class Kind:
    """One kind of annotations.

    Attributes:
        name: as users write it.
        find: of a folder and the names of its visible files, those that hold such annotations.
        read: reads them.
    """

    name: str
    find: Callable[[Path, Sequence[str]], list[str]]
    read: Reader
