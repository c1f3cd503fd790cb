"""Images looked at and, where they are cut or Pillow cannot show them, rendered to PNG files.

Both run in worker processes. Rendered pictures are cached by the source's bytes and by how they are shown.
"""

import io
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pipeline.base.decode import RULES, UnusableImage, decode, decoder
from pipeline.base.files import (
    file_bytes,
    identity_hash,
    is_whole,
    remember,
    remembered,
    replacing,
    set_aside,
    sha256_file,
)
from pipeline.base.images import Probe, probe
from pipeline.base.picture_hash import picture_hash
from pipeline.corpus import georeference, raster
from pipeline.corpus.annotations import Georeference
from pipeline.corpus.checks import Rejected
from pipeline.corpus.raster import Look
from pipeline.corpus.tiles import Tile

if TYPE_CHECKING:
    from PIL import Image

_EXIF, _TAKEN = 0x8769, 36867  # the part of EXIF on the exposure, and its DateTimeOriginal
_FEW, _CHUNK = 64, 8
_Item = TypeVar("_Item")
_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Source:
    """An image file that was looked at.

    Attributes:
        why: it must be rendered by rasterio; None if Pillow shows it rightly.
        lost: why its place on the map is not known, though a file states it.
    """

    probe: Probe
    why: str | None = None
    georeference: Georeference | None = None
    gsd: float | None = None
    date: str | None = None
    lost: Rejected | None = None


@dataclass(frozen=True)
class Job:
    """What to render of a file: tiles, or `()` for the whole image."""

    path: Path
    source: Source
    tiles: tuple[Tile, ...] = ()


class Picture(NamedTuple):
    """A rendered picture: the sha256 of its PNG file, and its perceptual hash in hex."""

    sha256: str
    looks: str


@dataclass(frozen=True)
class Rendered:
    """Each tile's picture, None for one that shows nothing; or why there are none."""

    pictures: list["Picture | None"] = field(default_factory=list)
    error: str | None = None
    remedy: str = ""


def look_at_all(paths: Sequence[Path], workers: int, look: Look) -> Iterator[Source]:
    """Look at many files, in the order of `paths`."""
    return _in_processes(partial(look_at, look=look), paths, workers)


def render_all(jobs: Iterable[Job], workers: int, look: Look, cache: Path) -> Iterator[Rendered]:
    """Render many images into `cache`, in the order of `jobs`; what is there already is not rendered."""
    return _in_processes(partial(render, look=look, cache=cache), jobs, workers)


def look_at(path: Path, look: Look) -> Source:
    """Hash and decode a file, and find where and when it was taken."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that Pillow or GDAL cannot read, and does not need
        return _looked_at(path, look)


def _looked_at(path: Path, look: Look) -> Source:
    tags = raster.read_tags(path)
    why = None if tags is None else raster.why_rasterio(path, tags, look)
    found = (
        probe(path, look.max_pixels) if tags is None or why is None else raster.probe(path, tags, why, look)
    )
    source = Source(found, why)
    if found.error is not None:
        return source
    place, lost = None, None
    try:
        if tags is not None and tags.georeferenced:
            with raster.sealed():
                place = georeference.geotiff(path.absolute())
    except ImportError:
        lost = Rejected("its georeference needs rasterio", georeference.GEO_EXTRA)
    except Rejected as error:
        lost = error
    try:
        place = place or georeference.world_file(path)
    except Rejected as error:
        lost = error
    if place is not None and found.turned:
        lost = Rejected("its georeference is of the picture that EXIF turns", "Write it upright")
        place = None
    gsd = None if place is None else georeference.ground_sampling_distance(place, found.width, found.height)
    return replace(source, georeference=place, gsd=gsd, date=_date(path), lost=lost)


def _date(path: Path) -> str | None:
    """When the camera took the picture, as 2024-05-31T10:20:30."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            text = str(image.getexif().get_ifd(_EXIF).get(_TAKEN, "")).strip("\0 ")
        day, _, time = text.partition(" ")
        year, month, date = (int(part) for part in day.split(":"))
    except Exception:  # no picture that Pillow knows, or damaged metadata
        return None
    known = year > 0 and 1 <= month <= 12 and 1 <= date <= 31
    return f"{year:04d}-{month:02d}-{date:02d}{'T' * bool(time)}{time}" if known else None


def render(job: Job, look: Look, cache: Path) -> Rendered:
    """Render a file's tiles, or the whole of it, those apart that the cache holds."""
    store = _store(job, look, cache)
    known = remembered(store)
    before = dict(known)
    tiles = job.tiles or (Tile(0, 0, job.source.probe.width, job.source.probe.height),)
    try:
        with ExitStack() as stack:
            part: Callable[[Tile], Image.Image] | None = None
            for tile in tiles:
                name = ",".join(map(str, tile))
                if name in known and (known[name] is None or _is_kept(picture_file(cache, known[name][0]))):
                    continue
                part = part or _parts(job, look, stack)
                known[name] = _write(part(tile), cache, may_be_empty=bool(job.tiles))
    except UnusableImage as error:
        return Rendered(error=str(error), remedy=error.remedy)
    if known != before:
        remember(store, known)
    found = [known[",".join(map(str, tile))] for tile in tiles]
    return Rendered([None if kept is None else Picture(*kept) for kept in found])


def picture_file(cache: Path, name: str) -> Path:
    """The file of a rendered picture by the sha256 of its bytes."""
    return cache / name[:2] / f"{name}.png"


def place(cache: Path, name: str, path: Path) -> None:
    """Put a rendered picture at `path`: the same file where the disk allows it, else a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(picture_file(cache, name), path)
    except OSError:
        with replacing(path) as temporary:
            shutil.copyfile(picture_file(cache, name), temporary)


def _store(job: Job, look: Look, cache: Path) -> Path:
    made_from: dict[str, Any] = {"file": job.source.probe.sha256, "rules": RULES, "decoder": decoder()}
    if job.source.why is not None:
        import rasterio

        mask = raster.mask_file(job.path)
        made_from |= {
            "mask": sha256_file(mask) if mask.is_file() else None,
            "bands": look.bands,
            "stretch": look.stretch,
            "reader": f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}",
        }
    key = identity_hash(made_from)
    return cache / key[:2] / f"{key}.json"


def _is_kept(file: Path) -> bool:
    if is_whole(file):
        return True
    if file.exists():
        set_aside(file)
    return False


def _parts(job: Job, look: Look, stack: ExitStack) -> "Callable[[Tile], Image.Image]":
    """A function that gives a tile's picture; the file is opened, or decoded, once."""
    from PIL import Image

    if job.source.why is not None:
        file = stack.enter_context(raster.opened(job.path, look, job.source.why))
        return lambda tile: Image.fromarray(file.window(*tile))
    try:
        image = decode(file_bytes(job.path), look.max_pixels)
    except OSError as error:
        raise UnusableImage(f"the image file cannot be read: {error.strerror}") from None
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    return lambda tile: image.crop((tile.x, tile.y, tile.x + tile.w, tile.y + tile.h))


def _write(image: "Image.Image", cache: Path, may_be_empty: bool) -> Picture | None:
    """Write a picture under its hash; one of a single colour shows nothing and may be left out."""
    ranges: Any = image.getextrema()
    bands = [ranges] if image.mode == "L" else ranges
    if may_be_empty and all(low == high for low, high in bands):
        return None
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    name = sha256(buffer.getvalue()).hexdigest()
    if not picture_file(cache, name).is_file():
        with replacing(picture_file(cache, name)) as temporary:
            temporary.write_bytes(buffer.getvalue())
    return Picture(name, picture_hash(image).hex())


def _in_processes(work: Callable[[_Item], _Done], items: Iterable[_Item], workers: int) -> Iterator[_Done]:
    """Results in the order of the items, of which few are waiting at a time."""
    items = iter(items)
    first = list(islice(items, _FEW + 1))
    if workers == 1 or len(first) <= _FEW:
        yield from map(work, first)
        yield from map(work, items)
        return
    # spawn, not fork: a fork while threads of Arrow or torch hold locks can hang
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        block = first
        while block:
            yield from pool.map(work, block, chunksize=_CHUNK)
            block = list(islice(items, _FEW * _CHUNK * workers))
