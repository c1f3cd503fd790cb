"""Image files anywhere below a folder, and what each of them holds."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.images import SUFFIXES, Probe, probe_all
from pipeline.vision.embedding import Source, Spent, embed_images
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


def embedded(
    vlm: Vlm, files: Sequence[tuple[Path, str]], workers: int, batch: int, max_pixels: float
) -> Iterator[tuple[str, Probe, np.ndarray] | Skipped]:
    """The sha256, the content and the feature (D,), float32, of each file; or why it has none."""
    probes = probe_all([path for path, _ in files], workers, max_pixels)
    sources, found = [], []
    for (path, sha256), probe in zip(files, probes, strict=True):
        if probe.error is not None:
            yield Skipped(str(path), probe.error)
        elif probe.sha256 != sha256:
            yield Skipped(str(path), "the file changed while it was read")
        else:
            sources.append(Source(path, sha256, max_pixels))
            found.append(probe)
    done = 0
    try:
        for block in embed_images(vlm, sources, batch=batch, workers=workers, spent=Spent()):
            for vector in block:
                yield sources[done].sha256, found[done], vector
                done += 1
    except UserError:  # one of them has just changed, or has no finite feature: the others are not lost
        for source, probe in zip(sources[done:], found[done:], strict=True):
            try:
                (block,) = embed_images(vlm, [source], batch=1, workers=0, spent=Spent())
            except UserError as error:
                yield Skipped(str(source.path), error.problem.reason)
            else:
                yield source.sha256, probe, block[0]
