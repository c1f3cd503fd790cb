"""Which of the text files of a folder hold annotations, and of which kind: DOTA's or YOLO's."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.corpus.layout import head
from pipeline.corpus.reading import as_number

DOTA, YOLO = "DOTA", "YOLO"
_TRIED = 50  # files of a folder that are looked at until one has lines
# texts that are no annotations wherever they stand
_OTHER = ("readme", "license", "licence", "classes", "labels", "predefined_classes", "requirements", "notes")
_LISTS = ("train", "val", "valid", "test", "trainval")


def text_files(folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """The text files of both kinds, those of one folder alike.

    The folder's name decides (`labelTxt...`, `labels`), and what its first files with lines hold.
    """
    by_folder: dict[str, list[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.suffix.lower() != ".txt" or "imagesets" in name.lower():
            continue
        parts = [part.lower() for part in path.parent.parts]
        is_list = path.stem.lower() in _LISTS and "labels" not in parts
        if is_list or path.name.lower().split(".")[0] in _OTHER:
            continue
        by_folder.setdefault(str(path.parent), []).append(name)
    found: dict[str, list[str]] = {DOTA: [], YOLO: []}
    for inside, files in by_folder.items():
        kind = _kind(folder, inside, files)
        if kind is not None:
            found[kind] += files
    return {kind: sorted(files, key=lambda name: name.split("/")) for kind, files in found.items()}


def _kind(folder: Path, inside: str, files: Sequence[str]) -> str | None:
    parts = [part.lower() for part in PurePosixPath(inside).parts]
    if any(part.startswith("labeltxt") for part in parts):
        return DOTA
    for name in files[:_TRIED]:
        if (kind := _kind_of_text(head(folder / name))) is not None:
            return kind
    return YOLO if "labels" in parts else None


def _kind_of_text(text: str) -> str | None:
    """The kind of a text by its first line with numbers."""
    for line in text.splitlines():
        if line.lower().startswith(("imagesource:", "gsd:")):
            return DOTA
        fields = line.replace(",", " ").split()
        values = [as_number(field) for field in fields]
        if not fields:
            continue
        if len(fields) in (9, 10) and None not in values[:8] and values[8] is None:
            return DOTA
        is_yolo = len(fields) >= 5 and None not in values and float(fields[0]).is_integer()
        return YOLO if is_yolo else None
    return None
