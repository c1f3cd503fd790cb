"""Tables: sorted, checked, byte-identical, and refused when they are not what the schema says."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base import tables as contracts
from pipeline.base.errors import UserError
from pipeline.base.files import replacing
from pipeline.base.provenance import KEY
from pipeline.base.schemas import RANKINGS, SCENE_GRAPHS
from pipeline.base.tables import (
    READ_ROWS,
    ROW_GROUP_ROWS,
    open_table,
    read_batches,
    read_some,
    read_table,
    write_table,
)


def _row(query: str, method: str = "hybrid") -> dict:
    return {
        "dataset": "one",
        "query_id": query,
        "kind": "add",
        "method": method,
        "rank": 1,
        "average_precision": 1.0,
        "top": ["a"],
        "scores": [0.5],
        "shares": None,
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


def test_tables_of_one_key_are_sorted_and_distinct_too(tmp_path: Path) -> None:
    file = tmp_path / "graphs.parquet"
    blank = {"width": 1, "height": 1, "scene": None, "objects": [], "relationships": [], "dataset": "one"}
    rows = [{"image_id": name, **blank} for name in ("c", "a", "d", "b")]
    chunks = pa.concat_tables([pa.Table.from_pylist([row], SCENE_GRAPHS) for row in rows])
    write_table(rows, tmp_path / "rows.parquet", SCENE_GRAPHS)
    for table in (chunks, chunks.sort_by("image_id")):
        write_table(table, file, SCENE_GRAPHS)
        assert file.read_bytes() == (tmp_path / "rows.parquet").read_bytes()
    assert read_table(file, SCENE_GRAPHS)["image_id"].to_pylist() == ["a", "b", "c", "d"]
    for few in (rows[:1], []):
        write_table(few, file, SCENE_GRAPHS)
        assert read_table(file, SCENE_GRAPHS).num_rows == len(few)
    with pytest.raises(ValueError, match="stands twice"):
        write_table([*rows, rows[1]], file, SCENE_GRAPHS)


def test_reading_refuses_what_is_not_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(UserError, match=r"t\.parquet: the table is missing"):
        read_table(path, RANKINGS)
    path.write_text("no parquet")
    with pytest.raises(UserError, match="not readable as Parquet"):
        read_table(path, RANKINGS)
    pq.write_table(pa.table({"query_id": ["a"]}), path)
    with pytest.raises(UserError, match="field 'dataset': a column is missing"):
        read_table(path, RANKINGS)
    write_table([_row("a")], path, RANKINGS)
    pq.write_table(pq.read_table(path).set_column(4, "rank", pa.array([1.5])), path)
    with pytest.raises(UserError, match="field 'rank': the column's type is not int32"):
        read_table(path, RANKINGS)


def test_the_dataset_that_a_table_is_made_from_stands_in_each_row(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    rows = [{key: value for key, value in _row(query).items() if key != "dataset"} for query in "ab"]
    with pytest.raises(ValueError, match=r"'dataset'.*null"):
        write_table(rows, path, RANKINGS)
    write_table(rows, path, RANKINGS, {"dataset": "parks"})
    assert read_table(path, RANKINGS)["dataset"].to_pylist() == ["parks", "parks"]
    write_table(read_table(path, RANKINGS), path, RANKINGS, {"dataset": "roofs"})
    assert read_table(path, RANKINGS)["dataset"].to_pylist() == ["roofs", "roofs"]


def test_a_table_without_rows_has_no_row_group_and_all_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table([], path, RANKINGS, {"dataset": "parks"})
    assert pq.read_metadata(path).num_row_groups == 0
    assert read_table(path, RANKINGS).schema.equals(RANKINGS) and list(read_batches(path, RANKINGS)) == []
    said = {KEY: pq.read_metadata(path).metadata[KEY.encode()]}
    pq.write_table(pa.Table.from_pylist([_row("a")], RANKINGS).replace_schema_metadata(said), path)
    with pytest.raises(UserError, match="content is not what was written"):
        read_table(path, RANKINGS)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("count", [0, 1, 4, 9, 12])
@pytest.mark.parametrize("size", [1, 3, 4, 5, 100])
def test_a_table_written_in_blocks_has_the_bytes_of_one_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, size: int
) -> None:
    monkeypatch.setattr(contracts, "ROW_GROUP_ROWS", 4)
    rows = [_row(f"q{number:02d}") for number in range(count)]
    write_table(rows, tmp_path / "whole.parquet", RANKINGS)
    with open_table(tmp_path / "blocks.parquet", RANKINGS) as table:
        for start in range(0, count, size):
            table.write(rows[start : start + size][::-1])
        table.write([])
    assert (tmp_path / "blocks.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    groups = pq.read_metadata(tmp_path / "blocks.parquet")
    assert [groups.row_group(i).num_rows for i in range(count // 4)] == [4] * (count // 4)
    assert read_table(tmp_path / "blocks.parquet", RANKINGS).to_pylist() == rows


def _pages(file: Path) -> bytes:
    """A Parquet file without its footer, where the metadata lies."""
    data = file.read_bytes()
    return data[: -8 - int.from_bytes(data[-8:-4], "little")]


def test_many_rows_have_the_bytes_that_arrow_gives_a_table_written_at_once(tmp_path: Path) -> None:
    rows = [_row(f"q{number:06d}") | {"top": [str(number)] * (number % 50)} for number in range(40_000)]
    with open_table(tmp_path / "blocks.parquet", RANKINGS) as table:
        for start in range(0, len(rows), 10_001):
            table.write(rows[start : start + 10_001])
    whole = pa.Table.from_pylist(rows, schema=RANKINGS).replace_schema_metadata(None)
    pq.write_table(
        whole,
        tmp_path / "whole.parquet",
        compression="zstd",
        write_page_checksum=True,
        row_group_size=ROW_GROUP_ROWS,
    )
    assert _pages(tmp_path / "blocks.parquet") == _pages(tmp_path / "whole.parquet")


@pytest.mark.parametrize("key", ["b", "a"])
def test_a_block_that_comes_late_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setattr(contracts, "ROW_GROUP_ROWS", 1)
    with (
        pytest.raises(ValueError, match=r"\('hybrid', '.'\) comes after \('hybrid', 'b'\)"),
        open_table(tmp_path / "t.parquet", RANKINGS) as table,
    ):
        table.write([_row("b")])
        table.write([_row(key)])
    assert list(tmp_path.iterdir()) == []


def test_a_table_read_in_batches_is_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "READ_ROWS", 2)
    rows = [_row(query) for query in "abcde"]
    path = tmp_path / "t.parquet"
    write_table(rows, path, RANKINGS)
    batches = list(read_batches(path, RANKINGS))
    assert [row for batch in batches for row in batch.to_pylist()] == rows and len(batches) == 3
    said = {KEY: pq.read_metadata(path).metadata[KEY.encode()]}
    for order in ([1, 0, 2, 3, 4], [0, 0, 2, 3, 4], [0, 1, 2, 3]):
        table = pa.Table.from_pylist([rows[i] for i in order], schema=RANKINGS)
        pq.write_table(table.replace_schema_metadata(said), path)
        with pytest.raises(UserError, match="content is not what was written"):
            list(read_batches(path, RANKINGS))
    with pytest.raises(UserError, match="the table is missing"):
        list(read_batches(tmp_path / "none.parquet", RANKINGS))


def test_no_flipped_bit_gives_other_rows_not_even_before_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contracts, "READ_ROWS", 2)
    rows = [_row(f"q{number}") for number in range(6)]
    path = tmp_path / "t.parquet"
    write_table(rows, path, RANKINGS)
    whole, refused = path.read_bytes(), 0
    for place in range(0, len(whole), 17):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        read: list[dict] = []
        try:
            for batch in read_batches(path, RANKINGS):
                read += batch.to_pylist()
        except UserError as error:
            assert str(path) in str(error)
            refused += 1
            assert read == rows[: len(read)]
        else:
            assert read == rows
    assert refused > len(whole) / 51


def test_some_rows_are_those_of_the_whole_table(tmp_path: Path) -> None:
    file, count = tmp_path / "t.parquet", READ_ROWS + 10
    write_table([_row(f"{number:05d}") for number in range(count)], file, RANKINGS)
    whole, columns = read_table(file, RANKINGS), ["query_id", "top"]
    ids = [f"{number:05d}" for number in (count - 1, 3, READ_ROWS, 3)] + ["unknown"]
    found = read_some(file, RANKINGS, "query_id", ids, columns)
    assert found.equals(whole.take([3, READ_ROWS, count - 1]).select(columns))
    assert read_some(file, RANKINGS, "query_id", []).num_rows == 0
    write_table([], file, RANKINGS)
    assert read_some(file, RANKINGS, "query_id", ids).schema.names == RANKINGS.names
