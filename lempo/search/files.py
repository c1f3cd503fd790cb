"""Image files anywhere below a folder, and what each of them holds."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.images import SUFFIXES
from pipeline.corpus.columns import Columns
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Job, look_at, look_at_all, picture_file, render, render_all
from pipeline.corpus.rendering import Source as Looked
from pipeline.vision.embedding import Spent, embed_images
from pipeline.vision.reading import Source
from pipeline.vision.vlm import Vlm

_HIDDEN = {
    "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin", "__macosx",
    "lost+found", "system volume information",
}  # fmt: skip


@dataclass(frozen=True)
class Skipped:
    """A file that is not indexed, and why."""

    path: str
    reason: str


def image_files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Names below `folder` of all image files, and their state; hidden ones and linked folders are left out.

    Raises:
        UserError: a folder cannot be read.
    """
    waiting = [""]
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(folder / at) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason = f"the folder cannot be read: {error.strerror}"
            raise UserError(reason, "Check its path and permissions", file=folder / at) from None
        for entry in found:
            if entry.name.startswith(".") or entry.name.casefold() in _HIDDEN:
                continue
            name = f"{at}/{entry.name}".lstrip("/")
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and os.path.isfile(entry.path):
                yield name, entry.stat()


def unusable_name(name: str) -> str | None:
    """Why a file's name cannot stand in a table."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the file's name is not in UTF-8"
    return None


def hash_of(path: Path) -> str | Skipped:
    """The sha256 of a file's bytes."""
    try:
        return sha256_file(path)
    except OSError as error:
        return Skipped(str(path), f"the file cannot be read: {error.strerror}")


@dataclass(frozen=True)
class Embedded:
    """An image that was embedded.

    Attributes:
        sha256: of the file's bytes.
        columns: what the file says of itself: its size in pixels, and where and when it was taken.
        rendered: the picture that stands for it, if Pillow does not show the file as a person would see it.
        vector: its feature (D,), float32.
    """

    sha256: str
    columns: dict[str, Any]
    rendered: Path | None
    vector: np.ndarray


def embedded(
    vlm: Vlm, files: Sequence[tuple[Path, str]], look: Look, cache: Path, workers: int, batch: int
) -> Iterator[Embedded | Skipped]:
    """Embed files with these sha256; or say why one cannot be.

    Args:
        cache: folder of rendered pictures.
    """
    usable: list[tuple[Source, Embedded]] = []
    jobs: list[Job] = []
    for (path, sha256), seen in zip(
        files, look_at_all([path for path, _ in files], workers, look), strict=True
    ):
        if seen.probe.error is not None:
            yield Skipped(str(path), f"{seen.probe.error}. {seen.probe.remedy}")
        elif seen.probe.sha256 != sha256:
            yield Skipped(str(path), "the file changed while it was read")
        elif seen.why is not None:
            jobs.append(Job(path, seen))
        else:
            usable.append((Source(path, sha256), _of(seen, None)))
    for job, made in zip(jobs, render_all(jobs, workers, look, cache), strict=True):
        if made.error is not None or not made.pictures or made.pictures[0] is None:
            yield Skipped(str(job.path), f"{made.error}. {made.remedy}")
        else:
            name = made.pictures[0].sha256
            file = picture_file(cache, name)
            usable.append((Source(file, name), _of(job.source, file)))
    yield from _features(vlm, usable, workers, batch)


def picture_of(data: bytes, look: Look) -> bytes:
    """The bytes of a picture as a person would see it: the same, but for TIFF files that need rasterio.

    Raises:
        UserError: it cannot be rendered.
    """
    if data[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return data
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reference.tif"
        file.write_bytes(data)
        seen = look_at(file, look)
        if seen.why is None or seen.probe.error is not None:
            return data  # who decodes it says what is wrong
        made = render(Job(file, seen), look, Path(folder))
        if made.error is not None or not made.pictures or made.pictures[0] is None:
            raise UserError(f"the reference cannot be used: {made.error}", made.remedy)
        return picture_file(Path(folder), made.pictures[0].sha256).read_bytes()


def _of(seen: Looked, rendered: Path | None) -> Embedded:
    size = {"width": seen.probe.width, "height": seen.probe.height}
    return Embedded(seen.probe.sha256, size | Columns.of({}, seen).row(None), rendered, np.empty(0))


def _features(
    vlm: Vlm, usable: Sequence[tuple[Source, Embedded]], workers: int, batch: int
) -> Iterator[Embedded | Skipped]:
    sources, done = [source for source, _ in usable], 0
    try:
        for block in embed_images(vlm, sources, batch=batch, workers=workers, spent=Spent()):
            for vector in block:
                yield replace(usable[done][1], vector=vector)
                done += 1
    except UserError:  # one of them has just changed, or has no finite feature: the others are not lost
        for source, image in usable[done:]:
            try:
                (block,) = embed_images(vlm, [source], batch=1, workers=0, spent=Spent())
            except UserError as error:
                yield Skipped(str(source.path), error.problem.reason)
            else:
                yield replace(image, vector=block[0])
