"""The approximate index: when it is built, what its recall is, and what is not in it yet."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lempo.search import approximate
from lempo.search.approximate import brought_up
from lempo.search.database import SIGNATURE, Database

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
