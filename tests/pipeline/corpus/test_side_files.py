"""Of the files beside a TIFF only its mask is read, and nothing that a file names elsewhere."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.corpus.annotations import Georeference
from pipeline.corpus.georeference import crs_of, ground_sampling_distance, world_file
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Job, look_at, picture_file, render

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

WIDTH, HEIGHT = 4200, 8  # so wide that the percentiles are read at a reduced size
LOOK = Look(max_pixels=10**6)
VALUES = np.random.default_rng(0).integers(100, 3000, (4, HEIGHT, WIDTH)).astype(np.uint16)
METADATA = 42112


class Host:
    """A host that answers nothing, and notes who calls."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}/a.tif"
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        with suppress(OSError):
            while True:
                connection, caller = self._server.accept()
                self.calls.append(caller)
                connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    yield found
    found.close()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file outside the dataset, half as wide as its images."""
    (tmp_path / "outside").mkdir()
    values = np.full((4, HEIGHT // 2, WIDTH // 2), 7, np.uint16)
    return tiff(tmp_path / "outside/secret.tif", values)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tiff(tmp_path / "images/a.tif")


def tiff(path: Path, values: np.ndarray = VALUES, tags: Any = None, **options: Any) -> Path:
    count, height, width = values.shape
    profile = {"count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", driver="GTiff", **profile, **options) as file:
        file.write(values)
        file.update_tags(**(tags or {}))
    return path


def mask_beside(path: Path, values: np.ndarray, flags: int = 2) -> Path:
    tags = {f"INTERNAL_MASK_FLAGS_{band}": flags for band in range(1, 5)}
    return tiff(path.with_name(f"{path.name}.msk"), values, tags)


def side_file(target: str) -> str:
    item = f'<MDI key="OVERVIEW_FILE">{target}</MDI>'
    return f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>'


def vrt(target: str) -> str:
    bands = "".join(
        f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename>{target}'
        "</SourceFilename></SimpleSource></VRTRasterBand>"
        for band in range(1, 5)
    )
    return f'<VRTDataset rasterXSize="{WIDTH // 2}" rasterYSize="{HEIGHT // 2}">{bands}</VRTDataset>'


def name_inside(path: Path, target: str) -> None:
    """Give a TIFF a tag in which GDAL finds the file of its overviews."""
    text = f'<GDALMetadata><Item name="OVERVIEW_FILE" domain="overviews">{target}</Item></GDALMetadata>'
    data = path.read_bytes() + bytes(path.stat().st_size % 2)
    at = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, at)[0]
    entries = [data[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries = [entry for entry in entries if struct.unpack_from("<H", entry)[0] != METADATA]
    entries.append(struct.pack("<HHII", METADATA, 2, len(text) + 1, len(data)))
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry)[0])
    extra = text.encode() + bytes(1 + (len(text) + 1) % 2)
    start = struct.pack("<I", len(data) + len(extra))
    page = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    path.write_bytes(data[:4] + start + data[8:] + extra + page)


def by_gdal_alone(path: Path) -> np.ndarray:
    """What GDAL reads without any care."""
    with rasterio.open(path) as file:
        return file.read(1, out_shape=(HEIGHT // 2, WIDTH // 2))


def shown(path: Path, cache: Path, look: Look = LOOK) -> np.ndarray:
    from PIL import Image

    source = look_at(path, look)
    assert source.probe.error is None, source.probe.error
    done = render(Job(path, source), look, cache)
    assert done.error is None and done.pictures[0] is not None, done.error
    return np.asarray(Image.open(picture_file(cache, done.pictures[0].sha256)).convert("RGB"))


def error_of(path: Path) -> str | None:
    return look_at(path, LOOK).probe.error


@pytest.mark.parametrize(("ending", "text"), [(".aux.xml", side_file), (".ovr", vrt)])
def test_side_files_lead_to_no_other_file(
    tmp_path: Path, image: Path, outside: Path, ending: str, text: Any
) -> None:
    expected = shown(image, tmp_path / "cache")
    image.with_name(f"{image.name}{ending}").write_text(text(str(outside)))
    assert np.all(by_gdal_alone(image) == 7)
    assert np.array_equal(shown(image, tmp_path / "other"), expected)


@pytest.mark.parametrize(("ending", "text"), [(".aux.xml", side_file), (".ovr", vrt)])
def test_side_files_lead_to_no_host(tmp_path: Path, image: Path, host: Host, ending: str, text: Any) -> None:
    image.with_name(f"{image.name}{ending}").write_text(text(f"/vsicurl/{host.url}"))
    shown(image, tmp_path / "cache")
    assert host.calls == []
    with suppress(rasterio.errors.RasterioIOError):
        by_gdal_alone(image)
    assert host.calls


def test_a_tag_that_names_a_file_is_refused(image: Path, outside: Path) -> None:
    name_inside(image, str(outside))
    assert np.all(by_gdal_alone(image) == 7)
    assert error_of(image) == "a.tif names another file for its overviews"


@pytest.mark.parametrize("prefix", ["", "/vsicurl/", "WMS:"])
def test_a_tag_that_names_a_host_is_refused(image: Path, host: Host, prefix: str) -> None:
    name_inside(image, f"{prefix}{host.url}")
    assert error_of(image) == "a.tif names another file for its overviews"
    assert host.calls == []
    by_gdal_alone(image)
    assert host.calls


def test_a_mask_is_a_tiff_and_leads_nowhere(image: Path, outside: Path, host: Host) -> None:
    mask = mask_beside(image, np.ones((1, HEIGHT, WIDTH), np.uint8))
    assert error_of(image) is None
    name_inside(mask, str(outside))
    assert error_of(image) == "a.tif.msk names another file for its overviews"
    for target in (str(outside), f"/vsicurl/{host.url}"):
        mask.write_text(vrt(target))
        assert error_of(image) == "its mask a.tif.msk is no TIFF that can be read"
    mask_beside(image, np.ones((1, 4, 5), np.uint8))
    assert error_of(image) == f"its mask a.tif.msk has 5 x 4 pixels, not {WIDTH} x {HEIGHT}"
    assert host.calls == []


@pytest.mark.parametrize("flags", [0, 2, None])
def test_a_mask_is_read_as_gdal_reads_it(tmp_path: Path, image: Path, flags: int | None) -> None:
    """One of a band for each of the image's, one for all bands, and one that does not say whose it is."""
    values = np.zeros((1 if flags == 2 else 4, HEIGHT, WIDTH), np.uint8)
    values[:, :, 50:] = 255
    values[-1, 2:5] = 255
    if flags is None:
        tiff(image.with_name("a.tif.msk"), values)
    else:
        mask_beside(image, values, flags)
    look = Look(bands=(4,), max_pixels=10**6)
    with rasterio.open(image) as file:
        known = file.read_masks(4) > 0
    assert known.all() == (flags is None)
    pixels = shown(image, tmp_path / "cache", look)[..., 0]
    assert not pixels[~known].any() and pixels[known].mean() > 100


def test_a_mask_inside_goes_before_one_beside(tmp_path: Path, image: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(image, "r+") as file:
        file.write_mask(np.repeat([[0] * 100 + [255] * (WIDTH - 100)], HEIGHT, axis=0).astype(np.uint8))
    expected = shown(image, tmp_path / "cache")
    assert not expected[:, :100].any() and expected[:, 100:].any()
    mask_beside(image, np.zeros((1, HEIGHT, WIDTH), np.uint8))
    assert np.array_equal(shown(image, tmp_path / "other"), expected)


def test_a_picture_is_kept_for_its_mask(tmp_path: Path, image: Path) -> None:
    masks = [np.full((1, HEIGHT, WIDTH), value, np.uint8) for value in (255, 0)]
    mask_beside(image, masks[0])
    assert shown(image, tmp_path / "cache").any()
    mask_beside(image, masks[1])
    assert not shown(image, tmp_path / "cache").any()


def test_a_place_is_the_images_own(image: Path) -> None:
    transform = rasterio.Affine(0.5, 0, 600_000, 0, -0.5, 5_500_000)
    tiff(image, transform=transform, crs="EPSG:32633")
    side = "<PAMDataset><SRS>EPSG:32634</SRS><GeoTransform>1,1,0,1,0,1</GeoTransform></PAMDataset>"
    image.with_name("a.tif.aux.xml").write_text(side)
    with rasterio.open(image) as file:
        assert file.crs.to_epsg() == 32634
    place = look_at(image, LOOK).georeference
    assert place is not None and place.crs == "EPSG:32633" and place.transform == tuple(transform)[:6]


def test_text_that_names_a_file_is_no_tiff(image: Path, outside: Path) -> None:
    image.write_text(vrt(str(outside)))
    source = look_at(image, LOOK)
    assert source.why is None and source.probe.error is not None


def test_a_files_name_is_only_a_name(
    tmp_path: Path, image: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GDAL would read the first page of another file."""
    expected = shown(image, tmp_path / "cache")
    name = Path(f"GTIFF_DIR:1:{outside}")
    monkeypatch.chdir(tmp_path)
    name.parent.mkdir(parents=True)
    image.rename(name)
    with rasterio.open(name) as file:
        assert np.all(file.read(1) == 7)
    assert np.array_equal(shown(name, tmp_path / "other"), expected)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EPSG:32633", 32633),
        ("urn:ogc:def:crs:EPSG::3857", 3857),
        ("http://www.opengis.net/def/crs/EPSG/0/4326", 4326),
        ("WGS84", 4326),
        ("+proj=utm +zone=33 +datum=WGS84", 32633),
        (rasterio.crs.CRS.from_epsg(25832).to_wkt(), 25832),
    ],
)
def test_a_crs_is_named_by_code_urn_url_wkt_or_for_proj(text: str, code: int) -> None:
    assert crs_of(text).to_epsg() == code


def test_a_text_that_is_no_crs_is_not_looked_for_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host()
    monkeypatch.chdir(tmp_path)
    Path("EPSG").write_text(rasterio.crs.CRS.from_epsg(3857).to_wkt())
    texts = (
        host.url,
        "EPSG",
        str(tmp_path / "EPSG"),
        "+init=EPSG:3857",
        "+proj=longlat +nadgrids=EPSG",
        "{}",
    )
    for text in texts:
        with pytest.raises(rasterio.errors.CRSError):
            crs_of(text)
    georeference = Georeference((1.0, 0.0, 0.0, 0.0, -1.0, 0.0), host.url)
    assert ground_sampling_distance(georeference, 10, 10) is None
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n0\n0\n")
    (tmp_path / "a.prj").write_text(host.url)
    found = world_file(tmp_path / "a.tif")
    assert found is not None and found.crs == host.url and not host.calls
