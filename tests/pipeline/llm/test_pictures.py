"""Images beside prompts: what of a file a model sees, and what a server is sent."""

import base64
import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from pipeline.llm.pictures import Picture, data_url


def _picture(file: Path, image: Image.Image, side: int) -> Picture:
    image.save(file)
    return Picture(file, hashlib.sha256(file.read_bytes()).hexdigest(), side)


def test_a_large_image_is_scaled_down_and_a_small_one_stays(tmp_path: Path) -> None:
    large = Image.new("RGB", (400, 100), "red")
    assert _picture(tmp_path / "a.png", large, 64).load().size == (64, 16)
    small = Image.effect_noise((30, 20), 50).convert("RGB")
    assert _picture(tmp_path / "b.png", small, 64).load().tobytes() == small.tobytes()


def test_it_is_upright_and_in_rgb(tmp_path: Path) -> None:
    image = Image.new("L", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    file = tmp_path / "turned.png"
    image.save(file, exif=exif)
    loaded = Picture(file, hashlib.sha256(file.read_bytes()).hexdigest(), 64).load()
    assert (loaded.size, loaded.mode) == ((20, 40), "RGB")


def test_a_file_that_changed_is_missing_or_broken_says_so(tmp_path: Path) -> None:
    picture = _picture(tmp_path / "a.png", Image.new("RGB", (20, 20), "red"), 64)
    Image.new("RGB", (20, 20), "blue").save(picture.path)
    with pytest.raises(ValueError, match=r"a\.png has changed: restore it, or run `dvc repro corpus`"):
        picture.load()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(ValueError, match="cannot be decoded"):
        Picture(broken, hashlib.sha256(b"no image").hexdigest(), 64).load()
    picture.path.unlink()
    with pytest.raises(ValueError, match=r"a\.png cannot be read: No such file"):
        picture.load()


def test_a_server_gets_every_pixel_by_the_same_bytes_each_time() -> None:
    image = Image.effect_noise((30, 20), 50).convert("RGB")
    url = data_url(image)
    kind, _, data = url.partition(",")
    assert kind == "data:image/png;base64" and data_url(image.copy()) == url
    assert Image.open(io.BytesIO(base64.b64decode(data))).tobytes() == image.tobytes()


def test_where_the_file_lies_is_not_in_a_key(tmp_path: Path) -> None:
    picture = _picture(tmp_path / "a.png", Image.new("RGB", (20, 20)), 64)
    assert Picture(tmp_path / "b.png", picture.sha256, 64).key() == picture.key()
    assert Picture(picture.path, picture.sha256, 32).key() != picture.key()
