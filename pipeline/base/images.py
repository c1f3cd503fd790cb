"""Image files: the hash of their bytes, their size when decoded, and small copies."""

import hashlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from pipeline.base.decode import ALL, UnusableImage, decode, decoded
from pipeline.base.picture_hash import picture_hash

__all__ = ["SUFFIXES", "Probe", "decode", "probe", "probe_all", "small_copies"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_METADATA_BYTES, _PIXEL_BYTES = 64 << 20, 16  # the most that a file needs, and for each of its pixels
_QUALITY = 76  # of the JPEGs
_FEW = 64  # images that are probed sooner than a pool of processes starts


@dataclass(frozen=True, slots=True)
class Probe:
    """An image file's content. If it is no usable image, `error` says why and the rest is empty.

    Width and height are those of the upright picture. `turned` and `rescaled` say what decoding changed.
    `looks` is the picture's perceptual hash.
    """

    sha256: str = ""
    width: int = 0
    height: int = 0
    error: str | None = None
    remedy: str = "Replace or remove the file"
    turned: bool = False
    rescaled: bool = False
    looks: bytes = b""


def probe(path: Path, max_pixels: float | None = None) -> Probe:
    """Hash and decode one file; None is Pillow's own limit on pixels."""
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever
            return Probe(error="the image is no regular file")
        if path.exists() and path.stat().st_size > _most_bytes(max_pixels):
            return Probe(
                error="the image file has more bytes than an image of the allowed size",
                remedy="Replace or remove the file, or raise corpus.max_pixels",
            )
        data = path.read_bytes()
    except FileNotFoundError:
        return Probe(error="the image file is missing")
    except OSError as error:
        return Probe(error=f"the image file cannot be read: {error.strerror}")
    try:
        found = decoded(data, max_pixels)
    except UnusableImage as error:
        return Probe(error=str(error), remedy=error.remedy)
    sha256 = hashlib.sha256(data).hexdigest()
    width, height = found.image.size
    looks = picture_hash(found.image)
    return Probe(sha256, width, height, turned=found.turned, rescaled=found.rescaled, looks=looks)


def _most_bytes(max_pixels: float | None) -> float:
    """Bytes of the largest file that can hold so many pixels, with room for metadata and overviews.

    A larger one, such as a sparse file, must not be read into memory.
    """
    from PIL import Image

    return _METADATA_BYTES + _PIXEL_BYTES * (max_pixels or 2 * (Image.MAX_IMAGE_PIXELS or ALL))


def probe_all(
    files: Sequence[Path | str], workers: int, max_pixels: float | None = None, folder: Path = Path()
) -> Iterator[Probe]:
    """Probe many files in `workers` processes, in their order.

    Args:
        files: from `folder`; a name takes a third of a path's memory.
    """
    work = partial(_probe_in, folder, max_pixels)
    if workers == 1 or len(files) <= _FEW:
        yield from map(work, files)
        return
    # spawn, not fork: a fork while threads of Arrow or torch hold locks can hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, files, chunksize=32)


def _probe_in(folder: Path, max_pixels: float | None, file: Path | str) -> Probe:
    return probe(folder / file, max_pixels)


def small_copies(data: bytes, *pixels: int) -> list[bytes]:
    """The image of a file's bytes as JPEGs, one for each of `pixels`, which no side of it exceeds.

    Raises:
        ValueError: the bytes are no usable image.
    """
    image = decode(data, max_pixels=ALL).convert("RGB")  # the corpus stage checked the size
    copies = []
    for side in pixels:
        copy = image.copy()
        copy.thumbnail((side, side))
        buffer = io.BytesIO()
        copy.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
        copies.append(buffer.getvalue())
    return copies
