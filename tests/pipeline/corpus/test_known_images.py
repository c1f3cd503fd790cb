"""Images that earlier runs have decoded: known while nobody has touched them, else decoded again."""

import os
import random
import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from pipeline.base.images import Probe, probe_all
from pipeline.corpus import known_images
from pipeline.corpus.known_images import KnownImages

NAMES = ["images/a.png", "images/b.bmp", "images/c.jpg", "images/missing.png", "images/text.png"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(known_images, "_SETTLED_NS", 0)
    (tmp_path / "data/images").mkdir(parents=True)
    for number, name in enumerate(NAMES[:3]):
        Image.new("RGB", (20 + number, 10), (90 * number, 0, 0)).save(tmp_path / "data" / name)
    (tmp_path / "data" / NAMES[4]).write_text("no image")
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every image that is decoded."""
    names: list[str] = []

    def noted(files: list[str], *arguments: object) -> object:
        names.extend(files)
        return probe_all(files, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(known_images, "probe_all", noted)
    return names


def _probes(folder: Path, names: list[str] = NAMES, max_pixels: int | None = None) -> list[Probe]:
    return list(KnownImages(folder.parent / "known", folder, max_pixels).probe_all(names, workers=1))


def _plain(folder: Path) -> list[Probe]:
    return list(probe_all(NAMES, 1, None, folder))


def test_what_is_known_is_what_decoding_gives(folder: Path, decoded: list[str]) -> None:
    assert _probes(folder) == _plain(folder) and decoded == NAMES
    decoded.clear()
    assert _probes(folder) == _plain(folder) and decoded == NAMES[3:]
    assert _probes(folder, NAMES[::-1]) == _plain(folder)[::-1]


def test_a_file_that_was_touched_is_decoded_again(folder: Path, decoded: list[str]) -> None:
    _probes(folder)
    file = folder / NAMES[1]
    before = file.stat()
    Image.new("RGB", (21, 10), (0, 90, 0)).save(file)
    assert file.stat().st_size == before.st_size
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as rsync and tar do
    decoded.clear()
    assert _probes(folder) == _plain(folder)
    assert NAMES[1] in decoded and NAMES[0] not in decoded


def test_another_limit_or_another_folder_knows_nothing(folder: Path, decoded: list[str]) -> None:
    _probes(folder)
    decoded.clear()
    assert [probe.error is None for probe in _probes(folder, max_pixels=205)] == [True] + [False] * 4
    shutil.copytree(folder, folder.parent / "copy")
    assert _probes(folder.parent / "copy") == _plain(folder)
    assert decoded == NAMES * 2


def test_files_that_are_gone_are_forgotten_and_new_ones_are_learnt(folder: Path, decoded: list[str]) -> None:
    _probes(folder, NAMES[:2])
    _probes(folder, NAMES[1:3])
    decoded.clear()
    _probes(folder, NAMES[:3])
    assert decoded == NAMES[:1]


def test_a_damaged_store_is_set_aside(folder: Path, decoded: list[str]) -> None:
    _probes(folder)
    (store,) = (folder.parent / "known").iterdir()
    data, rng = store.read_bytes(), random.Random(0)
    for trial in range(40):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        store.write_bytes(changed if trial % 4 else data[: rng.randrange(len(data))])
        assert _probes(folder) == _plain(folder)
    decoded.clear()
    assert _probes(folder) == _plain(folder) and decoded == NAMES[3:]


def test_what_is_known_of_another_folder_is_not_believed(folder: Path, decoded: list[str]) -> None:
    _probes(folder)
    _probes(folder, max_pixels=205)
    first, second = (folder.parent / "known").iterdir()
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    decoded.clear()
    assert _probes(folder) == _plain(folder) and decoded == NAMES


def test_a_store_that_cannot_be_written_costs_nothing_but_time(
    folder: Path, decoded: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder.parent / "known").touch()
    for _ in range(2):
        decoded.clear()
        assert _probes(folder) == _plain(folder) and decoded == NAMES
    assert "what is known of the images cannot be kept" in caplog.text


def test_a_time_that_is_centuries_away_is_none(folder: Path, decoded: list[str]) -> None:
    try:
        os.utime(folder / NAMES[0], (2**35, 2**34))
    except OSError:
        pytest.skip("the file system has no such time")
    for _ in range(2):
        decoded.clear()
        assert _probes(folder) == _plain(folder)
    assert NAMES[0] in decoded or (folder / NAMES[0]).stat().st_mtime_ns < 2**63


def test_a_file_that_may_still_change_is_not_remembered(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_images, "_SETTLED_NS", 10**12)
    assert _probes(folder) == _plain(folder)
    monkeypatch.setattr(known_images, "_SETTLED_NS", 0)
    time.sleep(0.01)
    decoded.clear()
    _probes(folder)
    assert decoded == NAMES


def test_what_was_decoded_is_saved_now_and_then(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_images, "_SAVED_AFTER", 1)
    monkeypatch.setattr(known_images, "_AT_ONCE", 1)
    probes = KnownImages(folder.parent / "known", folder, None).probe_all(NAMES, workers=1)
    for _ in range(3):
        next(probes)
    probes.close()  # type: ignore[attr-defined]
    decoded.clear()
    _probes(folder)
    assert decoded == NAMES[2:]


def test_a_name_that_no_table_can_have_is_decoded_each_time(folder: Path, decoded: list[str]) -> None:
    name = "images/\udcff.png"
    Image.new("RGB", (5, 5)).save(folder / name)
    for _ in range(2):
        decoded.clear()
        (found,) = _probes(folder, [name])
        assert found.error is None and decoded == [name]
