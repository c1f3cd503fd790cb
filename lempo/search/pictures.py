"""Pictures of an index for a browser: small ones are made once and kept in memory, within bounds."""

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.decode import UnusableImage, decoded
from pipeline.base.errors import UserError
from pipeline.base.files import file_bytes

SMALLEST, LARGEST = 16, 2048  # pixels of a thumbnail's longer side
_KEPT_BYTES = 96 * 2**20
_QUALITY = 84
_AS_THEY_ARE = {  # formats that browsers show, by the first bytes of a file
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"RIFF": "image/webp",
}
_SHOWN_MODES = ("L", "LA", "P", "RGB", "RGBA", "1")


@dataclass(frozen=True)
class Picture:
    """An encoded picture."""

    data: bytes
    kind: str  # its media type


class Pictures:
    """Makes pictures of image files; for use by several threads."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._kept: OrderedDict[str, Picture] = OrderedDict()
        self._room = kept_bytes
        self._lock = threading.Lock()

    @staticmethod
    def tag(path: Path, size: int | None) -> str:
        """Changes when the file does, and with the size asked for.

        Raises:
            UserError: there is no such file.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise _gone(path, error) from None
        return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}-{size or 'full'}"

    def make(self, path: Path, size: int | None) -> Picture:
        """The picture of an image file, decoded by the rules of `pipeline/base/decode.py`.

        Args:
            size: pixels of the longer side at most; None: the whole picture.

        Raises:
            UserError: the file is gone or cannot be decoded.
        """
        if size is None:
            return _whole(path)
        tag = self.tag(path, size)
        with self._lock:
            if tag in self._kept:
                self._kept.move_to_end(tag)
                return self._kept[tag]
        picture = _small(path, size)
        with self._lock:
            if tag not in self._kept:
                self._kept[tag] = picture
                self._room -= len(picture.data)
            while self._room < 0 and self._kept:
                self._room += len(self._kept.popitem(last=False)[1].data)
        return picture


def limit_pixels(most: float | None) -> None:
    """Let Pillow refuse images of more pixels, in the whole process: threads share its one limit."""
    from PIL import Image

    if most is not None:
        Image.MAX_IMAGE_PIXELS = int(most / 2)  # Pillow refuses above twice its number


def _small(path: Path, size: int) -> Picture:
    from PIL import Image

    image = _decoded(path, _bytes(path)).image
    see_through = image.has_transparency_data
    image = image.convert("RGBA" if see_through else "RGB")
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    if see_through:  # as on the page's ground, which differs by the colour scheme
        return _encoded(image, "PNG", "image/png")
    return _encoded(image, "JPEG", "image/jpeg", quality=_QUALITY)


def _whole(path: Path) -> Picture:
    data = _bytes(path)
    made = _decoded(path, data)
    kind = next((kind for first, kind in _AS_THEY_ARE.items() if data.startswith(first)), None)
    if kind and not made.rescaled and made.image.mode in _SHOWN_MODES:
        return Picture(data, kind)  # a browser turns it by its EXIF data itself
    image = made.image
    if image.mode not in _SHOWN_MODES:
        image = image.convert("RGB")
    return _encoded(image, "PNG", "image/png")


def _bytes(path: Path) -> bytes:
    try:
        return file_bytes(path)
    except OSError as error:
        raise _gone(path, error) from None


def _decoded(path: Path, data: bytes):  # type: ignore[no-untyped-def]
    try:
        return decoded(data)
    except UnusableImage as error:
        raise UserError(str(error), error.remedy, file=path.name) from None


def _encoded(image, form: str, kind: str, **options: int) -> Picture:  # type: ignore[no-untyped-def]
    file = io.BytesIO()
    image.save(file, form, **options)
    return Picture(file.getvalue(), kind)


def _gone(path: Path, error: OSError) -> UserError:
    return UserError(
        "the image's file cannot be read",
        "Run `lempo index` again after files were moved or deleted",
        file=path.name,
        value=error.strerror,
    )
