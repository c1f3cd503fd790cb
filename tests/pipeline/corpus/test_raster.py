"""TIFF files of every kind are shown as a person would see them, compared with reference pixels."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.decode import decode
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Job, look_at, picture_file, render
from pipeline.corpus.tiles import Tile

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

H, W = 40, 60
ROWS, COLUMNS = np.mgrid[0:H, 0:W]
RED = (ROWS * 5).astype(np.uint8)
GREEN = (COLUMNS * 4).astype(np.uint8)
BLUE = (255 - ROWS * 3 - COLUMNS).astype(np.uint8)
RGB = np.stack([RED, GREEN, BLUE])


def write(
    path: Path, values: np.ndarray, colours: tuple[str, ...] = (), mask: Any = None, **options: Any
) -> Path:
    from rasterio.enums import ColorInterp

    profile = {
        "count": len(values),
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": values.dtype,
    }
    with rasterio.open(path, "w", driver="GTiff", **profile, **options) as file:
        if colours:
            file.colorinterp = [ColorInterp[colour] for colour in colours]
        file.write(values)
        if mask is not None:
            file.write_mask(mask)
    return path


def shown(path: Path, cache: Path, tile: Tile | None = None, **look: Any) -> np.ndarray:
    """What the model sees, as (h, w, 3), and that by the same way as the corpus stage."""
    settings = Look(**{"max_pixels": 10**6, **look})
    source = look_at(path, settings)
    assert source.probe.error is None, source.probe.error
    if source.why is None and tile is None:
        return np.asarray(decode(path.read_bytes()).convert("RGB"))
    result = render(Job(path, source, () if tile is None else (tile,)), settings, cache)
    assert result.error is None, result.error
    (picture,) = result.pictures
    assert picture is not None
    image = decode(picture_file(cache, picture.sha256).read_bytes())
    assert image.format is None or image.mode in ("L", "RGB")
    return np.asarray(image.convert("RGB"))


def stretched(values: np.ndarray, known: np.ndarray | None = None, percentiles: Any = (2, 98)) -> np.ndarray:
    """The reference: all bands of (bands, h, w) by the percentiles of what is known, as (h, w, bands)."""
    of = values if known is None else values[:, known]
    low, high = np.percentile(of, percentiles)
    scaled = np.clip(np.rint((values.astype(float) - low) * 255 / (high - low)), 0, 255).astype(np.uint8)
    return np.moveaxis(scaled, 0, -1)


def rgb(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, 0, -1)


def test_plain_rgb_is_read_by_pillow(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", RGB, photometric="RGB")
    assert look_at(path, Look(max_pixels=10**6)).why is None
    assert np.array_equal(shown(path, tmp_path), rgb(RGB))


@pytest.mark.parametrize(
    ("bands", "colours", "expected"),
    [
        ([BLUE, GREEN, RED, RED // 2], ("blue", "green", "red", "undefined"), [RED, GREEN, BLUE]),
        ([RED, GREEN, BLUE, RED, RED], (), [RED, GREEN, BLUE]),
        ([RED, GREEN], (), [RED, RED, RED]),
    ],
)
def test_bands_are_those_that_the_file_calls_so_else_the_first(
    tmp_path: Path, bands: list[np.ndarray], colours: tuple[str, ...], expected: list[np.ndarray]
) -> None:
    path = write(tmp_path / "a.tif", np.stack(bands), colours, photometric="MINISBLACK")
    assert np.array_equal(shown(path, tmp_path), rgb(np.stack(expected)))


def test_bands_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.stack([RED, GREEN, BLUE, RED // 2, GREEN // 2]))
    assert np.array_equal(shown(path, tmp_path, bands=(5, 4, 1)), rgb(np.stack([GREEN // 2, RED // 2, RED])))
    assert np.array_equal(shown(path, tmp_path, bands=(2,)), rgb(np.stack([GREEN] * 3)))
    error = look_at(path, Look(bands=(6,))).probe.error
    assert error == "the image has 5 bands, so there is no band 6"


def test_more_than_8_bits_are_stretched(tmp_path: Path) -> None:
    deep = np.stack([RED, GREEN, BLUE, RED]).astype(np.uint16) * 40 + 300
    path = write(tmp_path / "a.tif", deep, photometric="MINISBLACK")
    assert np.array_equal(shown(path, tmp_path), stretched(deep[:3]))
    assert np.array_equal(shown(path, tmp_path, stretch=(0, 100)), stretched(deep[:3], percentiles=(0, 100)))
    planes = write(tmp_path / "planes.tif", deep[:3], photometric="RGB", interleave="band")
    assert np.array_equal(shown(planes, tmp_path), stretched(deep[:3]))
    one = write(tmp_path / "one.tif", deep[:1], interleave="band")  # as rasterio copies a profile
    assert np.array_equal(shown(one, tmp_path), stretched(deep[[0, 0, 0]]))
    three = write(tmp_path / "b.tif", deep[:3], photometric="RGB")
    assert look_at(three, Look(max_pixels=10**6)).why is None  # by Pillow, under the same rule
    assert np.array_equal(shown(three, tmp_path), stretched(deep[:3]))
    assert np.array_equal(shown(three, tmp_path, stretch=(0, 90)), stretched(deep[:3], percentiles=(0, 90)))


@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "uint32"])
def test_numbers_of_any_kind_are_stretched(tmp_path: Path, kind: str) -> None:
    values = (np.stack([RED, GREEN, BLUE]).astype(kind) - (100 if kind != "uint32" else 0)) * 3
    path = write(tmp_path / "a.tif", values.astype(kind), photometric="MINISBLACK")
    assert np.abs(shown(path, tmp_path).astype(int) - stretched(values)).max() <= 1
    grey = write(tmp_path / "b.tif", values[:1].astype(kind))
    expected = np.repeat(stretched(values[:1]), 3, axis=-1)
    assert np.abs(shown(grey, tmp_path).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("nodata", [-9999.0, float("nan")])
def test_pixels_without_data_are_black_and_do_not_count(tmp_path: Path, nodata: float) -> None:
    values = np.stack([RED, GREEN, BLUE, RED]).astype(np.float32) + 50
    values[:, :10] = nodata
    path = write(tmp_path / "a.tif", values, nodata=nodata, photometric="MINISBLACK")
    known = np.ones((H, W), bool)
    known[:10] = False
    expected = stretched(np.nan_to_num(values[:3]), known)
    expected[:10] = 0
    assert np.abs(shown(path, tmp_path).astype(int) - expected).max() <= 1


def test_nodata_and_mask_of_8_bits(tmp_path: Path) -> None:
    white = RGB.copy()
    white[:, :, :7] = 255
    white[0, 20, 20] = 255  # one band alone: the pixel has data
    expected = rgb(white).copy()
    expected[:, :7] = 0
    path = write(tmp_path / "a.tif", white, nodata=255, photometric="RGB")
    assert np.array_equal(shown(path, tmp_path), expected)
    mask = np.full((H, W), 255, np.uint8)
    mask[5:9] = 0
    expected = rgb(RGB).copy()
    expected[5:9] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        inside = write(tmp_path / "b.tif", RGB, mask=mask, photometric="RGB")
    assert np.array_equal(shown(inside, tmp_path), expected)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False):
        beside = write(tmp_path / "c.tif", RGB, mask=mask, photometric="RGB")
    assert (tmp_path / "c.tif.msk").is_file()
    assert np.array_equal(shown(beside, tmp_path), expected)


def test_alpha_of_16_bits_hides_pixels(tmp_path: Path) -> None:
    deep = np.stack([RED, GREEN, BLUE, np.full((H, W), 255)]).astype(np.uint16) * 200
    deep[3, :5] = 0
    path = write(tmp_path / "a.tif", deep, ("red", "green", "blue", "alpha"), photometric="RGB")
    known = deep[3] > 0
    expected = stretched(deep[:3], known)
    expected[:5] = 0
    assert np.array_equal(shown(path, tmp_path), expected)


def test_palette_grey_white_is_zero_and_cmyk_of_large_files(tmp_path: Path) -> None:
    """Files with more pixels than are decoded at once are read in windows, in any colours."""
    tile = Tile(10, 5, 20, 20)
    part = (slice(5, 25), slice(10, 30))
    large = {"max_pixels": 100, "tile_size": 20}
    palette = Image.fromarray(ROWS.astype(np.uint8), "P")
    palette.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
    for name, image in (
        ("palette", palette),
        ("grey", Image.fromarray(GREEN)),
        ("rgb", Image.fromarray(rgb(RGB))),
        ("cmyk", Image.fromarray(rgb(RGB)).convert("CMYK")),
    ):
        path = tmp_path / f"{name}.tif"
        image.save(path)
        assert look_at(path, Look(**large)).why == "more pixels than are decoded at once"
        expected = np.asarray(image.convert("RGB"))[part]
        assert np.abs(shown(path, tmp_path, tile, **large).astype(int) - expected).max() <= 1, name
    inverted = write(tmp_path / "white.tif", RED[None], photometric="MINISWHITE")
    expected = np.asarray(Image.open(inverted).convert("RGB"))[part]
    assert np.array_equal(shown(inverted, tmp_path, tile, **large), expected)


def test_a_tile_is_stretched_as_its_image(tmp_path: Path) -> None:
    deep = np.stack([RED, GREEN, BLUE, RED]).astype(np.uint16) * 40 + 300
    path = write(tmp_path / "a.tif", deep, photometric="MINISBLACK")
    tile = Tile(30, 12, 16, 16)
    assert np.array_equal(shown(path, tmp_path, tile, tile_size=16), stretched(deep[:3])[12:28, 30:46])


def test_strips_and_internal_tiles_are_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.tile(np.stack([RED, GREEN, BLUE, RED]).astype(np.uint16) * 9, (1, 4, 4))
    strips = write(tmp_path / "a.tif", values, photometric="MINISBLACK")
    tiled = write(
        tmp_path / "b.tif", values, photometric="MINISBLACK", tiled=True, blockxsize=64, blockysize=64,
        compress="deflate",
    )  # fmt: skip
    expected = shown(strips, tmp_path)
    monkeypatch.setattr("pipeline.corpus.raster._STRIP_PIXELS", 1000)
    assert np.array_equal(shown(tiled, tmp_path / "other"), expected)


def test_a_constant_image_and_one_without_data_are_no_error(tmp_path: Path) -> None:
    flat = np.full((4, H, W), 700, np.uint16)
    assert np.unique(shown(write(tmp_path / "a.tif", flat), tmp_path)).tolist() == [0]
    assert np.unique(shown(write(tmp_path / "b.tif", flat, nodata=700), tmp_path)).tolist() == [0]


def test_without_rasterio_the_remedy_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.tif", np.stack([RED] * 5).astype(np.uint16))
    plain = write(tmp_path / "b.tif", RGB, photometric="RGB")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    probe = look_at(path, Look()).probe
    assert probe.error == "the image has 5 channels of 16 bits, which rasterio can read"
    assert "extra `geo`" in probe.remedy
    assert look_at(plain, Look()).probe.error is None


def test_damage_is_a_reason_and_no_crash(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9999, (5, 300, 300)).astype(np.uint16)
    path = write(tmp_path / "a.tif", values, compress="deflate")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    look = Look(max_pixels=10**6)
    source = look_at(path, look)
    error = source.probe.error or render(Job(path, source), look, tmp_path / "cache").error
    assert error is not None and error.startswith("the image cannot be decoded") and "\n" not in error
    assert look_at(write(tmp_path / "b.tif", values.astype("complex64")), look).probe.error is not None


def test_a_large_scene_is_read_in_windows(tmp_path: Path) -> None:
    """30,000 x 30,000 pixels of four bands of 16 bits, 7 GB decoded, in a sparse file."""
    path = tmp_path / "large.tif"
    profile = {"width": 30_000, "height": 30_000, "count": 4, "dtype": "uint16", "sparse_ok": True}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, compress="deflate", **profile) as file:
        window = rasterio.windows.Window(14_848, 14_848, 512, 512)
        noise = np.random.default_rng(0).integers(0, 4000, (4, 512, 512)).astype(np.uint16)
        file.write(noise, window=window)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from pipeline.corpus.raster import Look\n"
        "from pipeline.corpus.rendering import Job, look_at, render\n"
        "from pipeline.corpus.tiles import Tile\n"
        "path, cache = map(Path, sys.argv[1:])\n"
        "look = Look(max_pixels=10**6, tile_size=512); source = look_at(path, look)\n"
        "tiles = (Tile(0, 0, 512, 512), Tile(14848, 14848, 512, 512))\n"
        "done = render(Job(path, source, tiles), look, cache)\n"
        "print(source.probe.width, [p is None for p in done.pictures], done.error)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
    )
    said, peak = done.stdout.splitlines()
    assert said == "30000 [True, False] None"
    assert int(peak) < 1_000_000  # kB
