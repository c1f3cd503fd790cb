"""Small copies of images, as files of the report's folder."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import file_bytes
from pipeline.base.images import small_copies
from pipeline.base.progress import Progress

FOLDER = "pictures"
TILE, LARGE = 144, 640  # pixels of the longer side
RESTORE = "Restore it, or run `dvc repro`"
_FEW = 64  # images that are copied sooner than a pool of processes starts
_NAME = 20  # characters of a hash


@dataclass(frozen=True)
class Wanted:
    """An image to copy: its file, what the corpus says of it, and whether a larger copy is made too."""

    path: Path
    sha256: str
    large: bool

    @property
    def tile_name(self) -> str:
        """By content: nothing that a source wrote is part of a file's name."""
        return f"{self.sha256[:_NAME]}.jpg"

    @property
    def large_name(self) -> str:
        return f"{self.sha256[:_NAME]}-large.jpg"


def write_pictures(folder: Path, wanted: Sequence[Wanted], workers: int) -> None:
    """Write `<folder>/pictures`, in `workers` processes.

    Raises:
        UserError: an image is missing, is no image, or is not the one that the corpus knows.
    """
    (folder / FOLDER).mkdir()
    work, bar = partial(_copy, folder / FOLDER), partial(Progress, title="report", unit="picture")
    if workers == 1 or len(wanted) <= _FEW:
        found = list(map(work, bar(wanted)))
    else:
        # spawn, not fork: a fork while threads of Arrow hold locks can hang
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            found = list(bar(pool.map(work, wanted, chunksize=32), total=len(wanted)))
    for image, reason in zip(wanted, found, strict=True):
        if reason:
            raise UserError(reason, RESTORE, file=image.path)


def unchanged(path: Path, known: str) -> bytes:
    """The bytes of an image of the corpus.

    Args:
        known: the sha256 that the corpus says.

    Raises:
        OSError: it cannot be read.
        UserError: its sha256 is another one.
    """
    data = file_bytes(path)
    if (found := sha256(data).hexdigest()) != known:
        reason = f"an image of the corpus has changed: its sha256 is {found}, the corpus says {known}"
        raise UserError(reason, RESTORE, file=path)
    return data


def _copy(folder: Path, image: Wanted) -> str | None:
    """Write the copies of one image; returns why that cannot be done."""
    try:
        data = unchanged(image.path, image.sha256)
        copies = small_copies(data, TILE, LARGE) if image.large else small_copies(data, TILE)
    except UserError as error:
        return error.problem.reason
    except (OSError, ValueError) as error:
        return f"an image of the corpus can no longer be read: {error}"
    for name, copy in zip((image.tile_name, image.large_name), copies, strict=False):
        (folder / name).write_bytes(copy)  # the whole folder is renamed once it is complete
    return None
