"""The approximate index: when it is built, what its recall is, and what is not in it yet."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lempo.search import approximate
from lempo.search import database as database_module
from lempo.search.approximate import brought_up
from lempo.search.database import SIGNATURE, Database
from pipeline.base import progress

pytest.importorskip("lancedb")


def rows(start: int, stop: int) -> list[dict[str, Any]]:
    return [
        {"image_id": f"i{n:04}", "path": "x", "sha256": f"{n:064x}", SIGNATURE: "", "width": n}
        for n in range(start, stop)
    ]


def vectors(count: int, seed: int) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(count, 16))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(approximate, "FROM_ROWS", 600)
    monkeypatch.setattr(approximate, "PARTITION_ROWS", 150)
    monkeypatch.setattr(approximate, "_SAMPLED", 10)
    database = Database(tmp_path, "images", 16)
    database.add(rows(0, 599), vectors(599, 0), replace=False)
    return database


def test_a_small_table_has_none(database: Database) -> None:
    assert brought_up(database, None, 599) is None


def test_it_is_built_measured_and_built_anew(database: Database) -> None:
    database.add(rows(599, 640), vectors(41, 1), replace=False)
    record = brought_up(database, None, 640)
    assert record is not None and record["kind"] == "IVF_HNSW_SQ" and record["partitions"] == 4
    assert record["used"] and record["recall_at_10"] >= 0.95 and record["rows"] == 640
    new = vectors(1, 2)
    database.add(rows(640, 641), new, replace=False)
    kept = brought_up(database, record, 1)
    assert kept == record | {"changed": 1}  # not built again for one image
    (best, *_), _ = database.nearest(new[0], 5, approximate=record)
    assert best["image_id"] == "i0640"  # but it is found
    database.tidy()
    (best, *_), _ = database.nearest(new[0], 5, approximate=record)
    assert best["image_id"] == "i0640"
    database.add(rows(641, 720), vectors(79, 3), replace=False)
    again = brought_up(database, kept, 80)
    assert again is not None and again["rows"] == 720 and again["changed"] == 0


def test_tidying_leaves_the_index_as_it_was_measured(database: Database) -> None:
    database.add(rows(599, 640), vectors(41, 1), replace=False)
    record = brought_up(database, None, 640)
    assert record is not None
    probe = {"probes": 1, "ef": 640, "refine": 1}
    sizes = [len(database.nearest(vector, 640, approximate=probe)[0]) for vector in vectors(20, 5)]
    assert all(size < 400 for size in sizes)  # one of four partitions
    database.tidy()
    assert sizes == [len(database.nearest(vector, 640, approximate=probe)[0]) for vector in vectors(20, 5)]


def test_how_far_a_building_index_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """LanceDB writes whole pages, so the vectors are long here."""
    monkeypatch.setattr(approximate, "FROM_ROWS", 800)
    monkeypatch.setattr(approximate, "PARTITION_ROWS", 200)
    monkeypatch.setattr(database_module, "LOOK_S", 0.001)
    monkeypatch.setattr(progress, "LINE_S", 0.001)
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    caplog.set_level("INFO")
    wide = np.tile(vectors(800, 0), (1, 256))
    database = Database(tmp_path, "images", wide.shape[1])
    database.add(rows(0, 800), wide, replace=False)
    assert brought_up(database, None, 800) is not None
    lines = [record.message for record in caplog.records]
    built = [re.match(r"index: build: (\d+) of 800 images(, .*/s, .* left)?", line) for line in lines]
    done = [int(found[1]) for found in built if found]
    assert done == sorted(done) and (done[0], done[-1]) == (0, 800)
    assert any(found and found[2] and 0 < int(found[1]) < 800 for found in built)  # with rate and time left
    assert any(line.startswith("index: exact search: 100 of 100 vectors") for line in lines)


def test_one_that_finds_too_little_is_not_used(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate, "FROM_ROWS", 100)
    monkeypatch.setattr(approximate, "LEAST_RECALL", 1.1)
    record = brought_up(database, None, 599)
    assert record is not None and not record["used"] and record["recall_at_10"] <= 1


def test_a_database_finds_rows_by_odd_values(database: Database) -> None:
    odd = rows(0, 1)[0] | {"image_id": 'it\'s "x"\n; --', "bounds": {"left": 1.0}}
    database.add([odd], vectors(1, 9), replace=False)
    (found,) = database.rows("image_id", [odd["image_id"]])
    assert found["bounds"]["left"] == 1.0 and database.count("bounds.left < 2") == 1
    database.add([odd | {"date": "2024"}], vectors(1, 9), replace=True)
    (found,) = database.rows("image_id", [odd["image_id"]])
    assert found["date"] == "2024" and len(database) == 600
    database.remove([odd["image_id"]])
    assert len(database) == 599
