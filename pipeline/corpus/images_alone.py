"""Images without annotations; a folder may tell their split."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.image_files import is_image
from pipeline.corpus.layout import listing
from pipeline.corpus.reading import Reading
from pipeline.corpus.tables import Notes, Rejects

_GRAPHS = "scene_graphs.json"
_ENDINGS = (".json", ".jsonl", ".xml", ".csv")  # of files in which tools write boxes

log = logging.getLogger(__name__)


def find(folder: Path, names: Sequence[str]) -> list[str]:
    """All image files."""
    return [name for name in names if is_image(name)]


def read(
    folder: Path, images: Mapping[str, ImageFile], notes: Notes, rejects: Rejects
) -> Iterator[Annotations]:
    """The split of each image in a folder `train`, `val` or `test`; see `Reader`.

    Files that may hold annotations, but of no kind that is read, are named in the log.
    """
    names = [name for name in listing(folder) if name.lower().endswith(_ENDINGS)]
    unread = [name for name in names if not name.lower().endswith(".aux.xml")]
    if unread and _GRAPHS not in unread:
        more = f" and {len(unread) - 1} more" if len(unread) > 1 else ""
        log.info(
            f"{folder}: no annotations of a kind that is read, but {unread[0]}{more}. "
            "Export boxes as COCO, VOC, DOTA, YOLO or GeoJSON"
        )
    yield from Reading(folder, images, notes, rejects).rest()


KIND = Kind("images alone", find, read)
