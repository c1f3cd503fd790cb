"""JSON files: what is wrong with one is one line, and a damaged file of the cache counts as missing."""

import hashlib
import os
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import (
    cached_bytes,
    file_hashes,
    is_whole,
    read_json,
    remember,
    remembered,
    set_aside,
    sha256_file,
    write_json,
)

DAMAGED = [b"", b"{", b'"\xff"', b"[" * 100_000, b"9" * 5000, b"[]", b"null"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "deep/a.json", {"b": [1, None], "a": "ä"})
    assert read_json(tmp_path / "deep/a.json", "") == {"a": "ä", "b": [1, None]}


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}", encoding="utf-8-sig")
    assert read_json(tmp_path / "a.json", "") == {}


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:8]))
def test_a_damaged_file_is_one_line_with_file_and_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="no JSON") as caught:
        read_json(tmp_path / "a.json", "Restore it")
    line = str(caught.value)
    assert line.startswith(str(tmp_path / "a.json")) and line.endswith("Restore it") and "\n" not in line
    assert remembered(tmp_path / "a.json") == {}


def test_a_missing_file_has_its_reason(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the metrics are missing"):
        read_json(tmp_path / "a.json", "Run it", "the metrics are missing")
    assert remembered(tmp_path / "a.json") == {}


def test_what_is_remembered_is_forgotten_when_a_bit_flips(tmp_path: Path) -> None:
    store, value = tmp_path / "a.json", {"a": [1, "ä", None, 0.1]}
    remember(store, value)
    assert remembered(store) == value
    whole = store.read_bytes()
    for place in range(len(whole)):
        store.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert remembered(store) in ({}, value)
    store.write_text('{"of": "an earlier version"}')
    assert remembered(store) == {} and store.is_file()


def test_cached_bytes_are_made_once_and_again_when_a_bit_flips(tmp_path: Path) -> None:
    store, made = tmp_path / "deep/a", []

    def make() -> bytes:
        made.append(0)
        return b"bytes"

    assert cached_bytes(store, make) == cached_bytes(store, make) == b"bytes" and len(made) == 1
    whole = store.read_bytes()
    for place in range(len(whole)):
        store.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cached_bytes(store, make) == b"bytes" and store.read_bytes() == whole
    store.write_bytes(b"")
    assert cached_bytes(store, make) == b"bytes" and len(made) == len(whole) + 2


def test_a_folder_or_a_link_in_the_place_of_a_remembered_file_is_moved_away(tmp_path: Path) -> None:
    store = tmp_path / "a.json"
    store.mkdir()
    assert remembered(store) == {}
    store.symlink_to("nowhere")
    assert remembered(store) == {}
    remember(store, {"a": 1})
    assert remembered(store) == {"a": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.json",
        "a.json.0.damaged",
        "a.json.1.damaged",
    ]


def test_a_part_is_whole_if_it_has_the_bytes_of_its_name(tmp_path: Path) -> None:
    part = tmp_path / f"{hashlib.sha256(b'content').hexdigest()}.parquet"
    assert not is_whole(part)
    part.write_bytes(b"content")
    assert is_whole(part)
    part.write_bytes(b"contenu")
    assert not is_whole(part)


def test_a_file_that_is_set_aside_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a").write_text("x")
    set_aside(tmp_path / "a")
    set_aside(tmp_path / "a")  # another process was faster
    assert [path.name for path in tmp_path.iterdir()] == ["a.0.damaged"]
    assert len(caplog.messages) == 1 and str(tmp_path / "a") in caplog.text


def test_other_bytes_of_the_same_size_and_time_have_another_hash(tmp_path: Path) -> None:
    file, other = tmp_path / "weights", tmp_path / "other"
    file.write_bytes(b"one")
    other.write_bytes(b"two")
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    first = file_hashes([file], tmp_path / "cache")
    os.replace(other, file)
    second = file_hashes([file], tmp_path / "cache")
    assert second == {"weights": sha256_file(file)} != first
    before = file.stat()
    while file.stat().st_ctime_ns == before.st_ctime_ns:  # until the clock of the file system goes on
        file.write_bytes(b"now")  # the same file, with its time put back
        os.utime(file, ns=(0, before.st_mtime_ns))
    assert file_hashes([file], tmp_path / "cache") == {"weights": sha256_file(file)} != second


def test_what_an_earlier_version_remembered_of_a_file_is_computed_again(tmp_path: Path) -> None:
    file, store = tmp_path / "weights", tmp_path / "cache/file_hashes.json"
    file.write_bytes(b"one")
    stat = file.stat()
    remember(store, {os.path.realpath(file): [stat.st_size, stat.st_mtime_ns, "0" * 64]})
    assert file_hashes([file], store.parent) == {"weights": sha256_file(file)}
    (entry,) = remembered(store).values()
    assert entry[:3] == [stat.st_size, stat.st_mtime_ns, sha256_file(file)]
