"""Images are decoded to the last pixel, and whatever is wrong with them is one reason."""

import hashlib
import io
import os
import random
from pathlib import Path

import pytest
from PIL import Image

from pipeline.base.images import decode, probe, probe_all, small_copies


def _jpeg(path: Path, size: tuple[int, int] = (30, 20)) -> Path:
    Image.effect_noise(size, 80).convert("RGB").save(path, quality=90)
    return path


def test_a_probe_says_hash_and_size(tmp_path: Path) -> None:
    path = _jpeg(tmp_path / "a.jpg")
    found = probe(path)
    assert (found.width, found.height, found.error) == (30, 20, None)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_many_files_are_probed_in_order_by_processes(tmp_path: Path) -> None:
    paths = [_jpeg(tmp_path / f"{i}.jpg", (10 + i, 8)) for i in range(80)]
    paths[40].unlink()
    found = list(probe_all(paths, workers=2))
    assert [one.width for one in found] == [0 if i == 40 else 10 + i for i in range(80)]
    assert found == list(probe_all(paths, workers=1))


def test_any_damage_is_a_reason_and_never_an_exception(tmp_path: Path) -> None:
    whole = _jpeg(tmp_path / "a.jpg").read_bytes()
    chance = random.Random(0)
    for _ in range(200):
        data = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode(bytes(data))
        except ValueError as error:
            assert "\n" not in str(error)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    data = _jpeg(tmp_path / "a.jpg").read_bytes()
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(data[: len(data) // 2])


def test_an_image_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = _jpeg(tmp_path / "a.jpg").read_bytes()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="more pixels"):
        decode(data)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    assert probe(tmp_path).error == "the image is no regular file"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "image.jpg")
    assert probe(tmp_path / "image.jpg").error == "the image is no regular file"


def test_small_copies_are_jpegs_of_the_asked_sizes(tmp_path: Path) -> None:
    Image.new("RGBA", (300, 200), (10, 200, 30, 90)).save(tmp_path / "a.png")
    copies = [
        Image.open(io.BytesIO(copy)) for copy in small_copies((tmp_path / "a.png").read_bytes(), 96, 640)
    ]
    assert [(copy.format, copy.size) for copy in copies] == [("JPEG", (96, 64)), ("JPEG", (300, 200))]


def test_a_file_that_is_too_large_for_its_pixels_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.png"
    path.touch()
    os.truncate(path, 40 << 30)
    found = probe(path, max_pixels=1_000_000)
    assert "more bytes" in (found.error or "") and "corpus.max_pixels" in found.remedy
