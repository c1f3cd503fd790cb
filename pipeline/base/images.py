"""Images decoded to the last pixel: the hash of their bytes, their size, and small copies."""

import base64
import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
_FEW = 64  # images that are probed sooner than a pool of processes starts


@dataclass(frozen=True)
class Probe:
    """An image file's content. If it is no usable image, `error` says why and the rest is empty."""

    sha256: str = ""
    width: int = 0
    height: int = 0
    error: str | None = None


def decode(data: bytes) -> "Image.Image":
    """Decode an image file to its last pixel.

    Raises:
        ValueError: the bytes are empty, no image, truncated, or decode to absurdly many pixels.
    """
    from PIL import Image

    if not data:
        raise ValueError("the image file is empty")
    with warnings.catch_warnings():
        # Pillow warns about metadata it cannot read and very large images; both can be decoded
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Image.DecompressionBombError:
            raise ValueError("the image has more pixels than can be decoded safely") from None
        except Exception as error:  # Pillow's plugins raise anything on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            if "cannot identify image file" in reason:  # Pillow adds the address of a buffer
                reason = "not in a format that Pillow knows"
            raise ValueError(f"the image cannot be decoded: {reason}") from None
    return image


def probe(path: Path) -> Probe:
    """Hash and decode one file."""
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever
            return Probe(error="the image is no regular file")
        data = path.read_bytes()
    except FileNotFoundError:
        return Probe(error="the image file is missing")
    except OSError as error:
        return Probe(error=f"the image file cannot be read: {error.strerror}")
    try:
        image = decode(data)
    except ValueError as error:
        return Probe(error=str(error))
    return Probe(hashlib.sha256(data).hexdigest(), image.width, image.height)


def probe_all(paths: Sequence[Path], workers: int) -> Iterator[Probe]:
    """Probe many files in `workers` processes, in the order of `paths`."""
    if workers == 1 or len(paths) <= _FEW:
        yield from map(probe, paths)
        return
    # spawn, not fork: a fork while threads of Arrow or torch hold locks can hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(probe, paths, chunksize=32)


def thumbnail_uri(path: Path, pixels: int) -> str:
    """The image as a small JPEG in a `data:` address; no side is longer than `pixels`.

    Raises:
        ValueError: the file is no usable image.
        OSError: it cannot be read.
    """
    image = decode(path.read_bytes()).convert("RGB")
    image.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
