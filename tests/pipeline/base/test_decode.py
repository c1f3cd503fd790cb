"""Decoding: upright pictures, deep pixels by a stated rule, limits that can be raised."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.decode import ALL, UnusableImage, decode, decoded
from pipeline.base.images import probe, small_copies

RNG = np.random.default_rng(0)
DEEP = RNG.integers(300, 3500, (40, 60, 3)).astype(np.uint16)


def _bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _by_rule(values: np.ndarray) -> np.ndarray:
    """The documented rule, written out once more."""
    ordered = np.sort(values.ravel().astype(float))
    low, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.02, 0.98))
    return np.clip((values.astype(float) - low) / (high - low) * 255, 0, 255)


def _gdal_bytes(values: np.ndarray, **options: Any) -> bytes:
    rasterio = pytest.importorskip("rasterio")
    bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    shape = dict(zip(("count", "height", "width"), bands.shape, strict=True))
    with rasterio.io.MemoryFile() as memory:
        with memory.open(driver="GTiff", dtype=bands.dtype, **shape, **options) as file:
            file.write(bands)
        return bytes(memory.read())


def _cv2_bytes(values: np.ndarray, kind: str) -> bytes:
    cv2 = pytest.importorskip("cv2")
    channels = values[..., ::-1] if values.ndim == 3 and values.shape[2] == 3 else values
    return cv2.imencode(kind, channels)[1].tobytes()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (DEEP[..., 0], "PNG"),
        (DEEP[..., 0], "TIFF"),
        (DEEP[..., 0].astype(">u2"), "TIFF"),
        (DEEP[..., 0].astype(np.int32) - 1000, "TIFF"),
        (DEEP[..., 0].astype(np.float32) / 3500, "TIFF"),
    ],
)
def test_deep_grey_is_rescaled(values: np.ndarray, kind: str) -> None:
    found = decoded(_bytes(Image.fromarray(values), kind))
    assert (found.image.mode, found.rescaled, found.turned) == ("L", True, False)
    np.testing.assert_allclose(np.asarray(found.image), _by_rule(values), atol=1.5)


@pytest.mark.parametrize("kind", [".png", ".tiff"])
def test_deep_colour_is_rescaled_with_its_low_bytes(kind: str) -> None:
    found = decoded(_cv2_bytes(DEEP, kind))
    assert (found.image.mode, found.rescaled) == ("RGB", True)
    np.testing.assert_allclose(np.asarray(found.image), _by_rule(DEEP), atol=1.5)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize(
    ("values", "options", "shown"),
    [
        (DEEP[..., 0].astype(np.uint32) * 1_000_000, {}, _by_rule(DEEP[..., 0])),
        ((DEEP[..., 0] % 256 - 128.0).astype(np.int8), {}, _by_rule(DEEP[..., 0] % 256)),
        (DEEP[..., 0], {"photometric": "MINISWHITE"}, 255 - _by_rule(DEEP[..., 0])),
    ],
)
def test_grey_is_shown_as_its_tags_say(values: np.ndarray, options: Any, shown: np.ndarray) -> None:
    """Numbers of 32 bits without a sign, of 8 bits with one, and 0 for white."""
    found = decoded(_gdal_bytes(values, **options))
    assert (found.image.mode, found.rescaled) == ("L", True)
    np.testing.assert_allclose(np.asarray(found.image), shown, atol=1.5)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_where_0_is_white_pixels_without_data_are_black() -> None:
    values = np.where(DEEP[..., 0] < 400, 0, DEEP[..., 0])
    found = decode(_gdal_bytes(values, photometric="MINISWHITE", nodata=0))
    assert np.asarray(found)[values == 0].max() == 0 and np.asarray(found)[values == values.max()].max() == 0
    assert np.asarray(found)[values == values[values > 0].min()].min() == 255


def test_pixels_without_a_value_do_not_count() -> None:
    values = DEEP[..., 0].astype(np.float32)
    holes = values.copy()
    holes[0, :5] = math.nan, math.inf, -math.inf, -9999, -9999
    tags = Image.Exif()
    tags[42113] = "-9999"  # GDAL's tag for pixels without data
    image = np.asarray(decode(_bytes(Image.fromarray(holes), "TIFF", exif=tags)))
    assert image[0, :5].tolist() == [0] * 5
    np.testing.assert_allclose(image[1:], _by_rule(values)[1:], atol=2)


def test_an_image_of_one_value_is_black() -> None:
    image = decode(_bytes(Image.fromarray(np.full((4, 4), 700, np.uint16)), "PNG"))
    assert np.asarray(image).max() == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((4, 5, 3), np.float32), "3 channels of 32 bits in floating point"),
        (np.zeros((4, 5), np.float64), "1 channel of 64 bits in floating point"),
    ],
)
def test_a_depth_that_cannot_be_read_is_named(values: np.ndarray, reason: str) -> None:
    with pytest.raises(UnusableImage, match=reason) as caught:
        decode(_cv2_bytes(values, ".tiff"))
    assert "8 bits" in caught.value.remedy


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_deep_colour_in_planes_is_named() -> None:
    with pytest.raises(UnusableImage, match="3 channels of 16 bits") as caught:
        decode(_gdal_bytes(DEEP, interleave="band"))
    assert "8 bits" in caught.value.remedy


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_eight_bits_stay_as_they_are(mode: str) -> None:
    data = _bytes(Image.effect_noise((30, 20), 80).convert(mode), "PNG")
    found, plain = decoded(data), Image.open(io.BytesIO(data))
    assert (found.turned, found.rescaled, found.image.mode) == (False, False, plain.mode)
    assert found.image.tobytes() == plain.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_pictures_come_upright(orientation: int, kind: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:16, :16] = 255  # top left
    upright[:16, 32:] = 128  # top right
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoded(_bytes(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif))
    assert found.turned == (orientation > 1) and found.image.size == (48, 32)
    pixels = np.asarray(found.image.convert("L")).astype(int)
    assert pixels[2:14, 2:14].min() > 200 and abs(pixels[2:14, 34:46] - 128).max() < 40
    assert pixels[18:].max() < 60


def test_size_and_thumbnail_are_those_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 96)).save(tmp_path / "a.jpg", exif=exif)
    found = probe(tmp_path / "a.jpg")
    assert (found.width, found.height, found.turned) == (96, 64, True)
    (copy,) = small_copies((tmp_path / "a.jpg").read_bytes(), 48)
    assert Image.open(io.BytesIO(copy)).size == (48, 32)


def test_damaged_exif_data_turn_nothing() -> None:
    data = _bytes(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0")
    assert decode(data).size == (8, 4)


def test_the_limit_on_pixels_can_be_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data := _bytes(Image.new("L", (30, 20)), "PNG"))
    with pytest.raises(UnusableImage, match="more pixels than the limit, 600 to 599") as caught:
        decode(data, 599)
    assert "tiles" in caught.value.remedy and "corpus.max_pixels" in caught.value.remedy
    assert decode(data, 600).size == decode(data, ALL).size == (30, 20)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert probe(tmp_path / "a.png", 600).width == 30
    assert "more pixels" in (probe(tmp_path / "a.png").error or "")  # the limit was set for that call alone


def test_a_pointer_of_git_lfs_is_named() -> None:
    with pytest.raises(UnusableImage, match="git-LFS pointer") as caught:
        decode(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert "git lfs pull" in caught.value.remedy


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "WEBP"])
def test_of_several_pages_the_first_is_taken(kind: str) -> None:
    first, second = (Image.new("RGB", (20, 10), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(_bytes(first, kind, save_all=True, append_images=[second], **options))
    assert found.convert("RGB").getextrema() == ((255, 255), (0, 0), (0, 0))
