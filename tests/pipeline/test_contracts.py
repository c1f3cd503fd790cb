"""Tables: sorted, checked, byte-identical, and refused when they are not what the schema says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.contracts import RANKINGS, read_table, replacing, write_table
from pipeline.errors import UserError


def _row(query: str, method: str = "hybrid") -> dict:
    return {
        "query_id": query,
        "kind": "add",
        "method": method,
        "rank": 1,
        "average_precision": 1.0,
        "top": ["a"],
    }


def test_the_order_of_the_rows_changes_no_byte(tmp_path: Path) -> None:
    rows = [_row("b"), _row("a"), _row("a", "chance")]
    write_table(rows, tmp_path / "one.parquet", RANKINGS)
    write_table(rows[::-1], tmp_path / "two.parquet", RANKINGS)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert read_table(tmp_path / "one.parquet", RANKINGS)["query_id"].to_pylist() == ["a", "a", "b"]


def test_a_key_twice_or_a_missing_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stands twice"):
        write_table([_row("a"), _row("a")], tmp_path / "t.parquet", RANKINGS)
    with pytest.raises(ValueError, match=r"'kind'.*null"):
        write_table([_row("a") | {"kind": None}], tmp_path / "t.parquet", RANKINGS)
    assert list(tmp_path.iterdir()) == []


def test_reading_refuses_what_is_not_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match=r"t\.parquet: the table is missing"):
        read_table(path, RANKINGS)
    path.write_text("no parquet")
    with pytest.raises(UserError, match="not readable as Parquet"):
        read_table(path, RANKINGS)
    pq.write_table(pa.table({"query_id": ["a"]}), path)
    with pytest.raises(UserError, match="field 'kind': a column is missing"):
        read_table(path, RANKINGS)
    write_table([_row("a")], path, RANKINGS)
    pq.write_table(pq.read_table(path).set_column(3, "rank", pa.array([1.5])), path)
    with pytest.raises(UserError, match="field 'rank': the column's type is not int32"):
        read_table(path, RANKINGS)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
