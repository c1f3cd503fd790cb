"""Where an image lies on a map: from a GeoTIFF's own tags or from a world file beside the image."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import add_extra
from pipeline.corpus.annotations import Georeference
from pipeline.corpus.checks import Rejected

if TYPE_CHECKING:
    from rasterio.crs import CRS

GEO_EXTRA = add_extra("geo")
_DEGREE = 111_320.0  # metres of a degree along a meridian
Bounds = tuple[float, float, float, float]  # left, bottom, right, top
_NAME = re.compile(
    r"(EPSG|ESRI|OGC|IAU|IGNF|NKG):[\w.]+|urn:ogc:def:crs:[\w:.]+|(WGS|NAD|CRS)\d\d", re.IGNORECASE
)
_OGC_URL = re.compile(r"https?://www\.opengis\.net/def/crs/(\w+)/[\w.]+/(\w+)/?")
_WKT = re.compile(r"[A-Z_]+\s*[\[(]")
_OUTSIDE = re.compile(r"grids|init=|://|pipeline", re.IGNORECASE)  # ways in which PROJ names files


def world_file(image: Path) -> Georeference | None:
    """What the world file beside an image says, and the `.prj` beside it; None if there is none.

    For `a.tif` it is `a.tfw`, `a.tifw` or `a.wld`, and so for other endings.

    Raises:
        Rejected: the file does not hold six numbers.
    """
    ending = image.suffix[1:]
    names = (f".{ending[:1]}{ending[-1:]}w", f".{ending}w", ".wld")
    beside = [image.with_suffix(case(name)) for name in names for case in (str.lower, str.upper)]
    file = next((path for path in beside if path.is_file()), None)
    if file is None:
        return None
    try:
        a, d, b, e, c, f = map(float, file.read_text(encoding="utf-8-sig").split()[:6])
        if not all(map(math.isfinite, (a, b, c, d, e, f))) or a * e == b * d:
            raise ValueError
    except (OSError, ValueError):
        remedy = "Write six numbers, one a line, or remove the file"
        raise Rejected("a world file holds six numbers", remedy, "world file", file.name) from None
    # a world file gives the centre of the first pixel, a transform its corner
    transform = (a, b, c - (a + b) / 2, d, e, f - (d + e) / 2)
    projection = next(
        (p for p in (image.with_suffix(".prj"), image.with_suffix(".PRJ")) if p.is_file()), None
    )
    return Georeference(transform, None if projection is None else _crs_of_prj(projection))


def geotiff(image: Path) -> Georeference | None:
    """What a GeoTIFF says of itself; control points become the transform that fits them best.

    Raises:
        ImportError: rasterio is not installed.
        Rejected: the file cannot be read.
    """
    import rasterio
    from rasterio.transform import from_gcps

    try:
        with rasterio.open(image, driver="GTiff") as file:
            transform, crs = file.transform, file.crs
            points, points_crs = file.gcps
            if transform.is_identity and points:
                transform, crs = from_gcps(points), points_crs
    except Exception as error:  # GDAL raises anything on damaged files
        remedy = "Write the file again, or leave it: the image is used without a place on the map"
        raise Rejected(
            f"its georeference cannot be read: {' '.join(str(error).split())}", remedy, "georeference"
        ) from None
    if transform.is_identity:
        return None
    numbers = (transform.a, transform.b, transform.c, transform.d, transform.e, transform.f)
    return Georeference(numbers, _name_of(crs) if crs else None)


def bounds(georeference: Georeference, x: float, y: float, w: float, h: float) -> Bounds:
    """Left, bottom, right and top on the map of a box in pixels."""
    a, b, c, d, e, f = georeference.transform
    corners = [(x, y), (x + w, y), (x, y + h), (x + w, y + h)]
    xs = [a * column + b * row + c for column, row in corners]
    ys = [d * column + e * row + f for column, row in corners]
    return min(xs), min(ys), max(xs), max(ys)


def from_bounds(box: Bounds, width: int, height: int, crs: str | None) -> Georeference:
    """The georeference of an image whose north is up and whose bounds are known."""
    left, bottom, right, top = box
    return Georeference(((right - left) / width, 0.0, left, 0.0, (bottom - top) / height, top), crs)


def crs_of(text: str) -> "CRS":
    """The CRS that a text of a dataset names: by its code, its URN or URL of the OGC, as WKT or for PROJ.

    GDAL would take any other text for a file or a URL, and read it. So that nothing outside the dataset is
    read, only these forms reach it, and none that names a grid or a file of parameters.

    Raises:
        CRSError: the text is of another form, or GDAL does not know it.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    text = text.strip()
    if url := _OGC_URL.fullmatch(text):
        text = f"{url[1]}:{url[2]}"
    if _OUTSIDE.search(text):
        raise CRSError("it names a file")
    if _WKT.match(text):
        return CRS.from_wkt(text)
    if _NAME.fullmatch(text) or text.startswith("+proj="):
        return CRS.from_user_input(text)
    raise CRSError("it is no code, no URN and no WKT")


def ground_sampling_distance(georeference: Georeference, width: int, height: int) -> float | None:
    """Metres on the ground per pixel in the image's middle; None without rasterio or a known CRS."""
    if georeference.crs is None:
        return None
    try:
        from rasterio.errors import CRSError
    except ImportError:
        return None
    try:
        crs = crs_of(georeference.crs)
    except CRSError:
        return None
    a, b, _, d, e, _ = georeference.transform
    _, bottom, _, top = bounds(georeference, 0, 0, width, height)
    if crs.is_geographic:
        along = math.cos(math.radians(max(-90.0, min(90.0, (bottom + top) / 2))))
        size = math.sqrt(abs(a * e - b * d) * along) * _DEGREE
    else:
        try:
            size = math.sqrt(abs(a * e - b * d)) * crs.linear_units_factor[1]
        except CRSError:
            return None
        if crs.to_epsg() == 3857:  # Web Mercator stretches what lies far from the equator
            size /= math.cosh((bottom + top) / 2 / 6_378_137.0)
    return float(f"{size:.6g}") if size > 0 and math.isfinite(size) else None


def _crs_of_prj(file: Path) -> str | None:
    text = file.read_text(encoding="utf-8-sig", errors="replace").strip()
    try:
        from rasterio.errors import CRSError
    except ImportError:
        return text or None
    try:
        return _name_of(crs_of(text))
    except CRSError:
        return text or None


def _name_of(crs: "CRS | Any") -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())
