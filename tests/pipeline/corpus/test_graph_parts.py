"""Parts of `scene_graphs.json` that were checked before: taken as they are, else checked again."""

import logging
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.base import kept_parts
from pipeline.corpus import graph_parts
from pipeline.corpus.folder import read_folder
from pipeline.corpus.scene_graphs import graph_row
from pipeline.corpus.tables import Corpus
from tests.pipeline.corpus.source import Source


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A dataset in parts of two rows or so, with rejected graphs and things that are left out."""
    monkeypatch.setattr(kept_parts, "PART_ROWS", 2)
    monkeypatch.setattr(kept_parts, "MOST_ROWS", 3)
    source = Source(tmp_path / "data")
    source.graphs[1]["objects"][1]["object_id"] = 0  # twice
    source.graphs[4]["objects"][0]["bbox"] = [30, 20, 20, 20]  # over the edge
    source.graphs[5]["relationships"].append({"subject_id": 0, "predicate": "on", "object_id": 7})
    source.graphs[7]["objects"][0]["attributes"].append(None)
    source.graphs[8]["objects"][0]["bbox"] = [2, 2, 0, 9]  # no area
    source.image("val-red").write_text("no image")
    return source.write()


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images of all graphs that are checked."""
    ids: list[str] = []

    def noted(row: Any, image_id: str, *others: Any) -> dict[str, Any]:
        ids.append(image_id)
        return graph_row(row, image_id, *others)

    monkeypatch.setattr(graph_parts, "graph_row", noted)
    return ids


def _read(source: Source, kept: bool = True) -> Corpus:
    return read_folder(source.folder, "parks", 1, store=source.folder.parent / "cache" if kept else None)


def _same(one: Corpus, other: Corpus) -> bool:
    """Whether both say the same, however their rows are cut."""
    tables = ("images", "scene_graphs", "queries")
    rows = [[getattr(corpus, name).to_pylist() for name in tables] for corpus in (one, other)]
    for found in rows:
        found[1] = sorted(({**row, "dataset": None} for row in found[1]), key=lambda row: row["image_id"])
    said = [(corpus.rejects.rows, corpus.notes.lines(), corpus.counts) for corpus in (one, other)]
    return rows[0] == rows[1] and said[0] == said[1]


def test_what_is_as_before_is_not_checked_again(source: Source, checked: list[str]) -> None:
    without = _read(source, kept=False)
    assert len(without.rejects.rows) > 2 and len(without.notes.lines()) >= 4
    assert _same(_read(source), without) and checked
    checked.clear()
    assert _same(_read(source), without) and not checked


def test_a_changed_row_costs_its_part_alone(source: Source, checked: list[str]) -> None:
    _read(source)
    checked.clear()
    source.graphs[4]["objects"][0]["attributes"] = ["grey"]
    again = _read(source.write())
    assert source.graphs[4]["image_id"] in checked and len(checked) <= 3
    assert _same(again, _read(source, kept=False))


def test_rows_that_move_keep_their_places_in_what_is_said(source: Source, checked: list[str]) -> None:
    _read(source)
    source.graphs.pop(0)
    source.write()
    checked.clear()
    moved = _read(source)
    assert 0 < len(checked) <= 3
    assert _same(moved, _read(source, kept=False))


def test_another_size_of_an_image_is_seen(source: Source, checked: list[str]) -> None:
    _read(source)
    checked.clear()
    Image.new("RGB", (12, 12), (1, 2, 3)).save(source.image("test-green"))
    source.graphs[7]["objects"][0]["bbox"] = [2, 2, 20, 20]
    source.write()
    again = _read(source)
    assert "test-green" in checked and _same(again, _read(source, kept=False))


@pytest.mark.parametrize("content", [b"", b"PAR1", None])
def test_a_damaged_part_is_set_aside_and_checked_again(
    source: Source, checked: list[str], caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    before = _read(source)
    folder = source.folder.parent / "cache/graphs"
    file = min(file for file in folder.iterdir() if pq.read_metadata(file).num_rows)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)
    checked.clear()
    with caplog.at_level(logging.WARNING):
        assert _same(_read(source), before) and 0 < len(checked) <= 3
    assert file.name in caplog.text and file.read_bytes() == whole
