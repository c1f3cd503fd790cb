from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import write_table
from pipeline.graph import table as graph_table
from pipeline.graph.scene_graph import graph_from_row
from pipeline.graph.table import GraphTable


def _row(number: int) -> dict:
    tree = {"object_id": 0, "name": "tree", "attributes": [str(number)], "bbox": None}
    return {
        "image_id": f"image-{number:02d}",
        "width": 10,
        "height": 10,
        "scene": None,
        "objects": [tree],
        "relationships": [],
    }


@pytest.mark.parametrize("few", [0, 64])
@pytest.mark.parametrize("kept", [1, 4, 100])
def test_graphs_are_those_of_the_rows_however_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int, few: int
) -> None:
    monkeypatch.setattr(graph_table, "KEPT_GRAPHS", kept)
    monkeypatch.setattr(graph_table, "READ_ROWS", 3)
    monkeypatch.setattr(graph_table, "_FEW", few)
    rows = {row["image_id"]: graph_from_row(row) for row in map(_row, range(10))}
    write_table(
        [_row(number) for number in range(10)], tmp_path / "graphs.parquet", SCENE_GRAPHS, {"dataset": "one"}
    )
    table = GraphTable(tmp_path / "graphs.parquet")
    assert list(table) == list(rows.values())
    unknown = ["image-99", "image", "image-05"]
    for ids in (["image-07", "image-02", "image-07"], ["image-02", "image-03"], unknown, []):
        assert table.of(ids) == {name: rows[name] for name in ids if name in rows}


def test_a_missing_table_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="table is missing"):
        GraphTable(tmp_path / "graphs.parquet")
