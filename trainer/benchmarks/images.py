"""The image files of a benchmark, all checked before any is embedded."""

import csv
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import replacing, sha256_file
from pipeline.base.images import probe_all
from pipeline.base.progress import Progress

_NAMED = 10  # files in the error itself


def checked_hashes(
    files: Sequence[Path],
    listing: Path,
    known: Callable[[str], bool],
    *,
    workers: int,
    max_pixels: float,
) -> list[str]:
    """The sha256 of every file, each of them an image that can be embedded.

    Args:
        listing: where the unusable files are listed, one with its reason a line; removed if there is none.
        known: whether an image with this hash was embedded before, so that it need not be decoded.

    Raises:
        UserError: some files are missing, cannot be read or are no usable images.
    """
    with ThreadPoolExecutor(workers) as pool:
        hashes = list(Progress(pool.map(_hash, files), title="read", total=len(files), unit="image"))
    unknown = [file for file, sha256 in zip(files, hashes, strict=True) if not (sha256 and known(sha256))]
    probes = Progress(
        probe_all(unknown, workers, max_pixels), title="decode", total=len(unknown), unit="image"
    )
    unusable = {file: probe.error for file, probe in zip(unknown, probes, strict=True) if probe.error}
    if not unusable:
        listing.unlink(missing_ok=True)
        return [str(sha256) for sha256 in hashes]
    with replacing(listing) as temporary, open(temporary, "w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([("file", "reason"), *unusable.items()])
    first = next(iter(unusable))
    others = [file.name for file in unusable][:_NAMED] + ["..."] * (len(unusable) > _NAMED)
    raise UserError(
        f"{unusable[first]}; {len(unusable)} of {len(files)} images cannot be used: {', '.join(others)}",
        f"Restore the files that {listing} lists; a smaller gallery would make every figure too good",
        file=first,
    )


def _hash(file: Path) -> str | None:
    """The sha256 of a file; None where probing it will say what is wrong."""
    try:
        return sha256_file(file) if os.path.isfile(file) else None
    except OSError:
        return None
