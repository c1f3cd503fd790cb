"""Reader of DOTA: one text file for each image, with eight coordinates, a class and a difficulty a line."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipeline.base.progress import Progress
from pipeline.boxes.box import Box
from pipeline.corpus import checks
from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import listing, read_lines, split_of
from pipeline.corpus.reading import Reading, Row, as_number, corners, numbers
from pipeline.corpus.tables import Notes, Rejects
from pipeline.corpus.text_kinds import DOTA, text_files


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """Text files in a folder `labelTxt...`, or in one whose first text with lines has DOTA's."""
    return text_files(folder, names)[DOTA]


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """Read all DOTA files of a folder; see `Reader`."""
    reading = Reading(folder, images, notes, rejects)
    for file in Progress(find(folder, listing(folder)), unit="file", title=f"{folder.name}: DOTA"):
        row = reading.row(file)
        try:
            yield _annotations(row)
        except Rejected as error:
            row.reject(error)
    yield from reading.rest()


KIND = Kind("DOTA", find, read)


def _annotations(row: Row) -> Annotations:
    path = PurePosixPath(row.file)
    image = row.reading.lookup.find(path.stem, str(path.parent), split_of(row.file))
    found: list[tuple[int | None, Box | Rejected]] = []
    header: dict[str, str] = {}
    for number, line in read_lines(row.reading.folder / row.file):
        key, colon, value = line.partition(":")
        if colon and not found and as_number(line.split()[0]) is None:
            header.setdefault(key.strip(), value.strip())
        else:
            found.append((number, _box(line, number, row)))
    row.claim(image)
    annotations = Annotations(
        image.image_id, row.boxes(found, image), split_of(row.file) or split_of(image.file)
    )
    row.describe(annotations, {key: value for key, value in header.items() if value.lower() != "null"})
    return annotations


def _box(line: str, number: int, row: Row) -> Box | Rejected:
    fields = line.replace(",", " ").split()
    if len(fields) < 9:
        reason = "the line has fewer than eight coordinates and a class"
        return Rejected(reason, "Write x1 y1 x2 y2 x3 y3 x4 y4 class difficulty", None, line)
    *names, last = fields[8:]
    difficulty = as_number(last[:100]) if names else None
    try:
        name = checks.name(" ".join(fields[8:] if difficulty is None else names), "class")
        box = Box(name, corners(numbers(fields[:8], "coordinates")), oriented=True)
    except Rejected as error:
        return error
    if difficulty is not None and difficulty > 0:
        row.count("difficult_boxes", Rejected("the box is difficult", "It is kept", None, line), number)
    return box
