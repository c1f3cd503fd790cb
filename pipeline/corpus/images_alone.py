"""Images without annotations; a folder may tell their split."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.image_files import is_image
from pipeline.corpus.reading import Reading
from pipeline.corpus.tables import Notes, Rejects


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """All image files."""
    return [name for name in names if is_image(name)]


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """The split of each image in a folder `train`, `val` or `test`; see `Reader`."""
    yield from Reading(folder, images, notes, rejects).rest()


KIND = Kind("images alone", find, read)
