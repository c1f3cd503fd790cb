"""Pictures as JPEG files, each drawn once and cached."""

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from embedded.world.model import Scene
from embedded.world.render import render
from pipeline.base.code import code_hash
from pipeline.base.files import cached_bytes, replacing

JPEG_QUALITY = 90


def write_picture(scene: Scene, size: int, path: Path, cache: Path) -> str:
    """Write a scene's JPEG to `path`, drawn or from the cache; return its sha256.

    The cache holds `<two letters>/<key>`, the key a hash of the scene, the size and the drawing code.
    """
    key = hashlib.sha256(f"{_drawing_code()}/{size}/{scene!r}".encode()).hexdigest()
    data = cached_bytes(cache / key[:2] / key, lambda: encode_jpeg(render(scene, size)))
    if not (path.is_file() and path.read_bytes() == data):
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """JPEG bytes of a (height, width, 3) uint8 picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


@cache
def _drawing_code() -> str:
    """A hash of what turns a scene into bytes: the world's code, the libraries it draws with."""
    versions = f"{np.__version__} {PIL.__version__} {JPEG_QUALITY}"
    return hashlib.sha256(f"{versions} {code_hash('embedded/world')}".encode()).hexdigest()
