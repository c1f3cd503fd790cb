"""Image files decoded to upright pictures of 8 bits a channel.

Plain 8-bit images come exactly as Pillow decodes them. Others follow two rules. An orientation in the EXIF
data is applied. Pixels of more than 8 bits are rescaled: of all finite values of the image, the 2nd
percentile and all below become 0, the 98th and all above 255, and those between follow linearly.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.base.files import LFS_POINTER, is_lfs_pointer

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

RULES = "upright, 8 bits as tagged"  # features that were made under other rules are not used again
ALL = float("inf")  # as a limit on pixels: the image was checked before
_PERCENTILES = (2, 98)
_NOT_8_BITS = "Convert it to 8 bits a channel, grey or RGB"
# tags of EXIF and TIFF
_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT, _NODATA = 0x0112, 258, 262, 277, 339, 42113
_WHITE_IS_ZERO, _SIGNED = 0, (2,)  # values of _PHOTOMETRIC and _FORMAT
_TURNS = {
    2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
    7: "TRANSVERSE", 8: "ROTATE_90",
}  # fmt: skip


def decoder() -> str:
    """What decodes images, with its version."""
    import PIL

    return f"Pillow {PIL.__version__}"


class UnusableImage(ValueError):
    """Why an image cannot be used, and what the user can do."""

    def __init__(self, reason: str, remedy: str = "Replace or remove the file") -> None:
        super().__init__(reason)
        self.remedy = remedy


@dataclass(frozen=True)
class Decoded:
    """A decoded image, and by which rules it is not as the file holds it."""

    image: "Image.Image"
    turned: bool
    rescaled: bool


def decode(data: bytes, max_pixels: float | None = None) -> "Image.Image":
    """Decode an image file to its last pixel, upright and with 8 bits a channel.

    Args:
        max_pixels: the most pixels that the image may have; None is Pillow's own limit.

    Raises:
        UnusableImage: a ValueError; the bytes are empty, no image, truncated, of a depth that cannot be
            rescaled, or decode to more pixels.
    """
    return decoded(data, max_pixels).image


def decoded(data: bytes, max_pixels: float | None = None) -> Decoded:
    """As `decode`, with what the rules changed."""
    if not data:
        raise UnusableImage("the image file is empty")
    if is_lfs_pointer(data):
        raise UnusableImage(*LFS_POINTER)
    from PIL import Image

    with warnings.catch_warnings(), _pixel_limit(max_pixels):
        # Pillow warns about metadata it cannot read and very large images; both can be decoded
        warnings.simplefilter("ignore")
        try:
            return _opened(data)
        except UnusableImage:
            raise
        except MemoryError:
            raise UnusableImage(
                "memory ran out while the image was decoded",
                "Give the run more memory, lower speed.workers, or replace the file",
            ) from None
        except Image.DecompressionBombError as error:
            numbers = re.findall(r"\d+", str(error))
            counted = f", {numbers[0]} to {numbers[1]}" if len(numbers) > 1 else ""
            raise UnusableImage(
                f"the image has more pixels than the limit{counted}",
                "Cut the image into tiles, or raise corpus.max_pixels",
            ) from None
        except Exception as error:  # Pillow's plugins raise anything on damaged files
            reason = " ".join(str(error).split()) or type(error).__name__
            unknown = "cannot identify image file" in reason  # Pillow adds the address of a buffer
            if unknown or "raw mode" in reason:
                if (depth := _tiff_depth(data)) is not None:
                    raise UnusableImage(
                        f"the image has {depth}, which Pillow cannot read", _NOT_8_BITS
                    ) from None
                reason = "not in a format that Pillow knows" if unknown else reason
            raise UnusableImage(f"the image cannot be decoded: {reason}") from None


@contextmanager
def _pixel_limit(pixels: float | None) -> Iterator[None]:
    """Let Pillow refuse images of more pixels inside the block; it does so above twice its own number."""
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    if pixels is not None:
        Image.MAX_IMAGE_PIXELS = None if pixels == ALL else pixels / 2  # type: ignore[assignment]
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _opened(data: bytes) -> Decoded:
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(data))
    # Pillow turns a TIFF while it loads
    turned = image.format == "TIFF" and _orientation(image) in _TURNS
    raw_mode = _raw_mode(image)
    image.load()
    turn = _TURNS.get(_orientation(image))
    values = _deep_values(image, raw_mode, data)
    if values is not None:
        white_is_zero = _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO
        image = Image.fromarray(_rescaled(values, _nodata(image), white_is_zero))
    if turn is not None:
        image = image.transpose(Image.Transpose[turn])
    return Decoded(image, turned or turn is not None, values is not None)


def _orientation(image: "Image.Image") -> Any:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata says nothing
        return 1


def _raw_mode(image: "Image.Image") -> str:
    """How the file holds a pixel, in Pillow's words: "RGB;16B" is 16 bits a channel, high byte first."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _deep_values(image: "Image.Image", raw_mode: str, data: bytes) -> "np.ndarray | None":
    """Values (H, W) or (H, W, 3) of an image of more than 8 bits a channel, or of signed ones; else None."""
    import numpy as np

    if image.mode == "L" and _tag(image, _FORMAT) == _SIGNED:
        return np.asarray(image).view(np.int8)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        return values.view(np.uint32) if raw_mode == "I;32N" else values  # Pillow takes them for signed ones
    layout = re.fullmatch(r"(RGB[AXa]?);16([BLN])", raw_mode)
    if layout is None:
        if re.search(r";16[BLN]$", raw_mode):
            raise UnusableImage(f"the image has 16 bits a channel in {image.mode}", _NOT_8_BITS)
        return None
    # Pillow keeps the first byte of each pair alone; read in the other byte order it keeps the second one
    swapped = f"{layout[1]};16{'B' if layout[2] in ('L', 'N') else 'L'}"
    low = _loaded_as(data, swapped)
    high = np.asarray(image)[..., :3].astype(np.uint16)
    return high * 256 + np.asarray(low)[..., :3]


def _loaded_as(data: bytes, raw_mode: str) -> "Image.Image":
    from PIL import Image

    image: Any = Image.open(io.BytesIO(data))
    image.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode)
        for tile in image.tile
    ]
    image.load()
    return image


def _nodata(image: "Image.Image") -> float | None:
    """The value that a GeoTIFF names for pixels without data."""
    try:
        return float(str(_tag(image, _NODATA)).strip("\0 "))
    except ValueError:
        return None


def _tag(image: "Image.Image", number: int) -> Any:
    """The value of a TIFF's tag; None where there is none."""
    return getattr(image, "tag_v2", {}).get(number)


def _rescaled(values: "np.ndarray", nodata: float | None, white_is_zero: bool) -> "np.ndarray":
    """Values as uint8, by the rule above; pixels that are not finite or without data become 0."""
    import numpy as np

    known = np.isfinite(values)
    if nodata is not None:
        known &= values != nodata
    if not known.any():
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(values[known], _PERCENTILES)
    if low == high:
        low, high = float(values[known].min()), float(values[known].max())
    scaled = (np.where(known, values, low).astype(np.float64) - low) * (255 / ((high - low) or 1))
    if white_is_zero:
        scaled = np.where(known, 255 - scaled, 0)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _tiff_depth(data: bytes) -> str | None:
    """The depth of a TIFF that Pillow refuses, as "64 bits a channel in floating point"."""
    from PIL import TiffImagePlugin

    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        bits, kind = max(tags[_BITS]), max(tags.get(_FORMAT, (1,)))
        channels = tags.get(_SAMPLES, 1)
    except Exception:  # no TIFF, or a damaged one
        return None
    kinds = {2: " as signed numbers", 3: " in floating point"}
    return f"{channels} channel{'s' * (channels > 1)} of {bits} bits{kinds.get(kind, '')}"
