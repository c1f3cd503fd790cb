"""TIFF files that Pillow cannot show as a person would see them, read by rasterio, window by window.

Of several bands, those that the parameters name are shown, or red, green and blue where the file says which
these are, or else the first three. Values of more than 8 bits are stretched by the rule of
`pipeline.base.decode`, with percentiles of the pixels that hold data, read at a reduced size. Pixels without
data become black.

GDAL would read more files, on this machine or another: those beside an image, and what they or its own tags
name. Here it reads the image alone and, in the same way, the mask beside it.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.decode import UnusableImage
from pipeline.base.errors import refuse_odd
from pipeline.base.files import sha256_file
from pipeline.base.images import Probe
from pipeline.corpus.georeference import GEO_EXTRA

if TYPE_CHECKING:
    import numpy as np

DEFAULT_STRETCH = (2.0, 98.0)  # what Pillow's decoding does too
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION, _SAMPLES = 254, 256, 257, 258, 262, 274, 277
_PLANAR, _EXTRA_SAMPLES, _FORMAT, _NODATA = 284, 338, 339, 42113
_IN_PLANES = 2  # a value of _PLANAR: band after band
_GEO_TAGS = (33550, 33922, 34264)  # pixel scale, tie points, transformation
_CACHE_MB = 256  # of decoded blocks in each process, where neighbouring windows find them again
_MASK_FLAG, _MOST_PAGES, _MOST_TILES = 4, 64, 1_000_000
_FOR_ALL_BANDS = 2  # GDAL's GMF_PER_DATASET
_SEALED = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # there seems to be no file beside the opened one
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "none",
}
_SAMPLE_SIDE, _STRIP_PIXELS = 2048, 1 << 22  # of the read for percentiles; of the rows read at a time


@dataclass(frozen=True)
class Look:
    """How images are to be shown.

    Attributes:
        bands: numbers of three bands or of one, from 1; None lets the file decide.
        stretch: percentiles of images of more than 8 bits that become black and white.
        max_pixels: of an image that is decoded as a whole.
        tile_size: side in pixels; None if images are not cut.
    """

    bands: tuple[int, ...] | None = None
    stretch: tuple[float, float] = DEFAULT_STRETCH
    max_pixels: int | None = None
    tile_size: int | None = None


@dataclass(frozen=True)
class Tags:
    """What the first page of a TIFF says of itself."""

    values: dict[int, Any]
    masked: bool

    @property
    def georeferenced(self) -> bool:
        return any(tag in self.values for tag in _GEO_TAGS)


def read_tags(path: Path) -> Tags | None:
    """The tags of a TIFF; None for other files, and for damaged ones, of which Pillow says what is wrong."""
    from PIL import TiffImagePlugin

    try:
        refuse_odd(path)
        with open(path, "rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = file.read(8)
            if head[:4] not in _MAGIC:
                return None
            pages = TiffImagePlugin.ImageFileDirectory_v2(head + (file.read(8) if 43 in head[2:4] else b""))
            first: dict[int, Any] = {}
            masked = False
            for number in range(_MOST_PAGES):
                if not pages.next:
                    break
                file.seek(pages.next)
                pages.load(file)
                if number == 0:
                    first = dict(pages)
                masked = masked or bool(number and pages.get(_SUBFILE, 0) & _MASK_FLAG)
    except Exception:  # Pillow raises anything on damaged files
        return None
    return Tags(first, masked or mask_file(path).is_file()) if first else None


def mask_file(path: Path) -> Path:
    """Where the mask beside an image lies, if it has one."""
    return path.with_name(f"{path.name}.msk")


def why_rasterio(path: Path, tags: Tags, look: Look) -> str | None:
    """Why a TIFF must be read by rasterio, in words; None if Pillow shows it rightly."""
    values = tags.values
    bits = max(_all(values.get(_BITS, 1)))
    samples, kind = int(values.get(_SAMPLES, 1)), max(_all(values.get(_FORMAT, 1)))
    deep = bits > 8 or kind != 1
    channels = f"{samples} channel{'s' * (samples > 1)} of {bits} bits"
    if look.bands is not None:
        return "the bands that corpus.bands names"
    if tags.masked:
        return "a mask of the pixels without data"
    alpha = any(extra in (1, 2) for extra in _all(values.get(_EXTRA_SAMPLES, 0)))
    if deep and values.get(_PLANAR) == _IN_PLANES:
        return f"{channels} in planes"
    if deep and (alpha or look.stretch != DEFAULT_STRETCH or samples not in (1, 3)):
        return channels
    # a pixel of the value 0 is black in any case
    if not deep and str(values.get(_NODATA, "0")).strip("\0 ") not in ("0", "0.0", "-0", "nan", ""):
        return "a value for pixels without data"
    if look.tile_size and int(values.get(_WIDTH, 0)) * int(values.get(_HEIGHT, 0)) > (look.max_pixels or 0):
        return "more pixels than are decoded at once"
    return None if _pillow_opens(path) else channels


def probe(path: Path, tags: Tags, why: str, look: Look) -> Probe:
    """As `pipeline.base.images.probe`, by rasterio; the pixels themselves are not read yet."""
    try:
        if tags.values.get(_ORIENTATION, 1) not in (0, 1):
            reason = (
                "the image must be turned by its tag Orientation and read by rasterio, which cannot turn it"
            )
            raise UnusableImage(reason, "Write it upright, without that tag")
        with opened(path, look, why) as raster:
            width, height = raster.width, raster.height
    except UnusableImage as error:
        return Probe(error=str(error), remedy=error.remedy)
    cut = look.tile_size and max(width, height) > look.tile_size
    if look.tile_size and width * height > _MOST_TILES * look.tile_size**2:
        reason = f"the image has {width} x {height} pixels, too many tiles"
        return Probe(error=reason, remedy="Raise corpus.tile_size, or replace the file")
    if not cut and look.max_pixels is not None and width * height > look.max_pixels:
        reason = f"the image has more pixels than the limit, {width * height} to {look.max_pixels}"
        return Probe(
            error=reason, remedy="Set corpus.tile_size to cut it into tiles, or raise corpus.max_pixels"
        )
    return Probe(sha256_file(path), width, height, rescaled=raster.deep)


class Raster:
    """An open file; `window` gives parts of it as a person would see them."""

    def __init__(self, file: Any, mask: Any | None, look: Look) -> None:
        self._file, self._mask = file, mask
        self.width, self.height = file.width, file.height
        self._bands = _shown_bands(file, look.bands)
        self._mask_bands = [None if mask is None else _mask_band(mask, band) for band in self._bands]
        kinds = {file.dtypes[band - 1] for band in self._bands}
        if any(kind.startswith("complex") for kind in kinds):
            raise UnusableImage("the image has complex numbers", "Write their amplitude, or name other bands")
        self.deep = kinds != {"uint8"}
        interpretation = [file.colorinterp[band - 1].name for band in self._bands]
        self._palette = _palette(file, self._bands[0]) if interpretation == ["palette"] else None
        self._cmyk = interpretation == ["cyan", "magenta", "yellow", "black"]
        self._inverted = file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES" and len(self._bands) == 1
        self._stretch = look.stretch
        self._range: tuple[float, float] | None = None

    def window(self, x: int, y: int, w: int, h: int) -> "np.ndarray":
        """Pixels (h, w) or (h, w, 3) as uint8.

        Raises:
            UnusableImage: the file is damaged there.
        """
        import numpy as np

        rows = max(1, _STRIP_PIXELS // w)
        strips = [self._strip(x, top, w, min(rows, y + h - top)) for top in range(y, y + h, rows)]
        return strips[0] if len(strips) == 1 else np.concatenate(strips)

    def _strip(self, x: int, y: int, w: int, h: int) -> "np.ndarray":
        import numpy as np
        from rasterio.windows import Window

        values, known = self._read(Window(x, y, w, h), None)
        if self.deep:
            low, high = self._limits()
            scaled = (np.where(np.isfinite(values), values, low).astype(np.float64) - low) * (
                255 / (high - low)
            )
            values = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        pixels: np.ndarray = np.moveaxis(values, 0, -1)
        if self._palette is not None:
            pixels = self._palette[pixels[..., 0]]
        elif self._cmyk:
            from PIL import Image

            pixels = np.array(Image.fromarray(np.ascontiguousarray(pixels), "CMYK").convert("RGB"))
        elif self._inverted:
            pixels = 255 - pixels
        pixels = np.where(np.any(known, axis=0, keepdims=False)[..., None], pixels, 0).astype(np.uint8)
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels

    def _limits(self) -> tuple[float, float]:
        """The values that become 0 and 255, of all shown bands together."""
        import numpy as np

        if self._range is None:
            side = max(self.width, self.height)
            step = max(1, -(-side // _SAMPLE_SIDE))
            shape = (max(1, self.height // step), max(1, self.width // step))
            values, known = self._read(None, shape)
            found: np.ndarray = values[known]
            low, high = (0.0, 1.0) if not found.size else map(float, np.percentile(found, self._stretch))
            if low == high and found.size:
                low, high = float(found.min()), float(found.max())
            self._range = (low, high if high > low else low + 1)
        return self._range

    def _read(self, window: Any, shape: tuple[int, int] | None) -> "tuple[np.ndarray, np.ndarray]":
        """Values (bands, h, w), and which of them are known."""
        import numpy as np

        how: dict[str, Any] = {"window": window}
        if shape is not None:
            how["out_shape"] = (len(self._bands), *shape)
        try:
            values = self._file.read(self._bands, **how)
            known = self._file.read_masks(self._bands, **how) > 0
            for number, band in enumerate(self._mask_bands):
                if self._mask is not None and band is not None:
                    known[number] = self._mask.read(band, window=window, out_shape=shape) > 0
        except Exception as error:  # GDAL raises anything on damaged files
            raise _undecodable(error) from None
        if values.dtype.kind == "f":
            known &= np.isfinite(values)
        return values, known


@contextmanager
def opened(path: Path, look: Look, why: str) -> Iterator[Raster]:
    """Open a TIFF.

    Args:
        why: it needs rasterio, for the error if that is not installed.

    Raises:
        UnusableImage: rasterio is not installed, the file is damaged, or it lacks a band that is asked for.
    """
    try:
        import rasterio
    except ImportError:
        raise UnusableImage(f"the image has {why}, which rasterio can read", GEO_EXTRA) from None
    with warnings.catch_warnings(), sealed(), ExitStack() as stack:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            file = stack.enter_context(_opened_alone(path))
            raster = Raster(file, _mask_beside(path, file, stack), look)
        except UnusableImage:
            raise
        except Exception as error:
            raise _undecodable(error) from None
        yield raster


@contextmanager
def sealed() -> Iterator[None]:
    """Within it GDAL finds no file beside the one that it opens.

    Raises:
        ImportError: rasterio is not installed.
    """
    import rasterio

    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB, **_SEALED):
        yield


def _opened_alone(path: Path) -> Any:
    """The open file, unless its tags name another one, which GDAL would read for it."""
    import rasterio

    # GDAL gives a meaning of its own to names such as GTIFF_DIR:1:a.tif, but to no absolute path
    file = rasterio.open(path.absolute(), driver="GTiff")
    if file.tags(ns="OVERVIEWS"):
        file.close()
        reason = f"{path.name} names another file for its overviews"
        raise UnusableImage(reason, "Write it again without overviews")
    return file


def _mask_beside(path: Path, file: Any, stack: ExitStack) -> Any | None:
    """The mask beside an image; None if there is none, or one inside, which goes first."""
    beside = mask_file(path)
    kinds = {kind.name for kind in file.mask_flag_enums[0]}
    if not beside.is_file() or not kinds & {"all_valid", "alpha", "nodata"}:
        return None
    try:
        mask = stack.enter_context(_opened_alone(beside))
    except UnusableImage:
        raise
    except Exception:  # whatever GDAL raises
        reason = f"its mask {beside.name} is no TIFF that can be read"
        raise UnusableImage(reason, "Write it as a TIFF, or remove it") from None
    if mask.shape != file.shape:
        reason = f"its mask {beside.name} has {mask.width} x {mask.height} pixels"
        raise UnusableImage(f"{reason}, not {file.width} x {file.height}", "Correct or remove it")
    return mask


def _mask_band(mask: Any, band: int) -> int | None:
    """Which band of a mask is that of an image's band, by what GDAL notes in it; None for none."""
    flags = mask.tags().get(f"INTERNAL_MASK_FLAGS_{band}", "")
    if not flags.isdecimal():
        return None
    if int(flags) & _FOR_ALL_BANDS:
        return 1
    return band if band <= mask.count else None


def _undecodable(error: Exception) -> UnusableImage:
    if isinstance(error, MemoryError):
        remedy = "Give the run more memory, or lower speed.workers. If the file is small, it is damaged"
        return UnusableImage("memory ran out while the image was decoded", remedy)
    return UnusableImage(f"the image cannot be decoded: {' '.join(str(error.__cause__ or error).split())}")


def _shown_bands(file: Any, asked: tuple[int, ...] | None) -> list[int]:
    if asked is not None:
        if missing := [band for band in asked if band > file.count]:
            reason = f"the image has {file.count} bands, so there is no band {missing[0]}"
            raise UnusableImage(reason, "Correct corpus.bands, or remove the file")
        return list(asked)
    names = [colour.name for colour in file.colorinterp]
    for colours in (("red", "green", "blue"), ("cyan", "magenta", "yellow", "black")):
        if all(colour in names for colour in colours):
            return [names.index(colour) + 1 for colour in colours]
    shown = [number for number, name in enumerate(names, 1) if name != "alpha"] or [1]
    return shown[:3] if len(shown) >= 3 else shown[:1]


def _palette(file: Any, band: int) -> "np.ndarray":
    import numpy as np

    colours = np.zeros((256, 3), np.uint8)
    for number, colour in file.colormap(band).items():
        if number < 256:
            colours[number] = colour[:3]
    return colours


def _pillow_opens(path: Path) -> bool:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(path).close()
    except Image.DecompressionBombError:
        return True  # too large is another matter
    except Exception:
        return False
    return True


def _all(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) and value else (0,) if value == () else (value,)
