"""Rows of a JSON list: the same as json.load, piece by piece, and the place of what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import UserError
from pipeline.corpus import json_rows
from pipeline.corpus.json_rows import read_members, read_rows

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(VALUES, max_size=6),
    chunk=st.integers(1, 40),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_rows_are_those_of_json(
    rows: list[Any], chunk: int, ascii_only: bool, indent: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    try:
        path.write_text(json.dumps(rows, ensure_ascii=ascii_only, indent=indent), encoding="utf-8")
    except UnicodeEncodeError:
        return  # half a surrogate pair cannot be in a UTF-8 file
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", chunk)
        found = list(read_rows(path))
    assert [row for row, _ in found] == list(range(len(rows)))
    assert repr([value for _, value in found]) == repr(json.loads(path.read_text(encoding="utf-8")))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), chunk=st.integers(1, 40))
def test_a_damaged_file_is_a_user_error_or_json(data: st.DataObject, chunk: int, tmp_path: Path) -> None:
    whole = json.dumps([{"image_id": "a", "objects": [{"name": "tree", "n": 12.5e3}]}, [1, None, "é\u2028"]])
    place = data.draw(st.integers(0, len(whole) - 1))
    damaged = (
        whole[:place]
        + data.draw(st.sampled_from(["", "]", '"', "\\", "1", "{", "\x00"]))
        + whole[place + 1 :]
    )
    path = tmp_path / "rows.json"
    path.write_text(damaged, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", chunk)
        try:
            found = [value for _, value in read_rows(path)]
        except UserError as error:
            assert "rows.json" in str(error) and "\n" not in str(error)
            with pytest.raises((json.JSONDecodeError, AssertionError)):
                assert isinstance(json.loads(damaged), list)
        else:
            assert found == json.loads(damaged)


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty (at line 1 column 1)"),
        ("  \n ", "empty (at line 2 column 2)"),
        ('{"a": 1}', "holds no list (at line 1 column 1)"),
        ('[{"a": 1},\n {"a": }]', "(at line 2 column 8)"),
        ('[{"a": 1}\n {"a": 2}]', "',' or ']' expected (at line 2 column 2)"),
        ('[{"a": 1},\n', "(at line 2 column 1)"),
        ('[{"a": "b', "Unterminated string"),
        ('[{"a": 1}]\nx', "goes on after its list (at line 2 column 1)"),
    ],
)
def test_the_place_is_named(
    text: str, said: str, chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_rows, "_CHUNK", chunk)
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        list(read_rows(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("[" * 100_000, "nested too deep"), ("[" + "9" * 5000 + "]", "impossible number")]
)
def test_absurd_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(UserError, match=said):
        list(read_rows(tmp_path / "rows.json"))


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        list(read_rows(tmp_path / "absent.json"))
    (tmp_path / "rows.json").write_bytes(b'["\xff"]')
    with pytest.raises(UserError, match="not UTF-8"):
        list(read_rows(tmp_path / "rows.json"))


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=r"git-LFS pointer.*git lfs pull"):
        list(read_rows(tmp_path / "rows.json"))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(st.text(max_size=5), st.lists(VALUES, max_size=4) | VALUES, max_size=4),
    chunk=st.integers(1, 40),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_members_are_those_of_json(
    members: dict[str, Any], chunk: int, encoding: str, tmp_path: Path
) -> None:
    path = tmp_path / "members.json"
    path.write_bytes(json.dumps(members, indent=1).encode(encoding))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_CHUNK", chunk)
        found: dict[str, Any] = {}
        for key, row, value in read_members(path):
            if row is None:
                assert key not in found
                found[key] = value
            else:
                assert row == len(found[key])
                found[key] = [*found[key], value]
    assert repr(found) == repr(json.loads(json.dumps(members)))
