"""Images read once, whole: their bytes' hash and, decoded to the last pixel, their size."""

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
_IN_PROCESS = 64  # so few images are done before a pool would have started


@dataclass(frozen=True)
class Probe:
    """What a file holds; `error` says why it is no usable image, and then the rest is empty."""

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
        # Pillow warns of metadata it cannot read and of very large images; both decode
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Image.DecompressionBombError:
            raise ValueError("the image has more pixels than can be decoded safely") from None
        except Exception as error:  # Pillow's plugins raise what they like on damaged files
            raise ValueError(f"the image cannot be decoded: {_plain(error)}") from None
    return image


def _plain(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "not in a format that Pillow knows" if "cannot identify image file" in text else text


def probe(path: Path) -> Probe:
    """Hash and decode one file."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
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
    if workers == 1 or len(paths) <= _IN_PROCESS:
        yield from map(probe, paths)
        return
    # spawn: the parent holds threads of Arrow and torch, which a fork would tear apart
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(probe, paths, chunksize=32)


def thumbnail_uri(path: Path, pixels: int) -> str:
    """The image, at most `pixels` a side, as a `data:` address of a small JPEG.

    Raises:
        ValueError: the file is no usable image.
        OSError: it cannot be read.
    """
    image = decode(path.read_bytes()).convert("RGB")
    image.thumbnail((pixels, pixels))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
