"""JSON files: what is wrong with one is one line, and a damaged file of the cache counts as missing."""

from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, remembered, write_json

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
    write_json(tmp_path / "a.json", {"a": 1})
    assert remembered(tmp_path / "a.json") == {"a": 1}
