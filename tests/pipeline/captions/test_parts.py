"""Parts of a language stage's rows: how they are cut, and what they are made from."""

import random

import pyarrow as pa
import pytest

from pipeline.base import kept_parts
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import content_hash
from pipeline.captions.parts import content_of, cut
from pipeline.faithfulness.check import vocabulary_of
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.table import labels_of


def _batches(ids: list[str], size: int) -> list[pa.RecordBatch]:
    table = pa.table({"id": ids, "length": [len(id) for id in ids]})
    return table.to_batches(max_chunksize=size)


def test_rows_are_cut_by_their_ids_whatever_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_parts, "PART_ROWS", 8)
    monkeypatch.setattr(kept_parts, "MOST_ROWS", 32)
    ids = [f"image-{number:05d}" for number in range(1000)]
    whole = [part["id"].to_pylist() for part in cut(_batches(ids, 1000), "id")]
    assert [id for part in whole for id in part] == ids
    assert max(map(len, whole)) <= 32 and 4 < 1000 / len(whole) < 16
    for size in (1, 7, 64):
        assert [part["id"].to_pylist() for part in cut(_batches(ids, size), "id")] == whole
    fewer = [part["id"].to_pylist() for part in cut(_batches(ids[:300] + ids[301:], 64), "id")]
    assert len([part for part in fewer if part not in whole]) <= 3
    assert list(cut([], "id")) == []


def test_the_content_of_a_part_is_its_rows_and_what_they_are_made_from() -> None:
    one, same = (pa.Table.from_batches(_batches(["a", "b", "c"], size)) for size in (1, 3))
    rows, fewer = content_hash(one), content_hash(one.slice(1))
    assert rows == content_hash(same)
    assert len({content_of(rows), content_of(rows, {"a": 1}), content_of(fewer)}) == 3


def test_the_labels_of_a_table_are_those_of_its_groups() -> None:
    rng = random.Random(0)
    words = ["car", "Small Vehicle", "two", "2", "many", "red", "", "next to", "②", "court (tennis)"]
    rows = []
    for number in range(300):
        objects = [
            {
                "object_id": place,
                "name": rng.choice(words) or "x",
                "attributes": rng.choices(words, k=rng.randint(0, 3)),
                "bbox": None,
            }
            for place in range(rng.randint(0, 4))
        ]
        relations = [
            {"subject_id": 0, "predicate": rng.choice(words), "object_id": len(objects) - 1}
            for _ in range(rng.randint(0, 2))
            if objects
        ]
        scene = rng.choice([None, *words])
        row = {"dataset": "toy", "image_id": f"{number:04d}", "width": 9, "height": 9, "scene": scene}
        rows.append({**row, "objects": objects, "relationships": relations})
    table = pa.Table.from_pylist(rows, schema=SCENE_GRAPHS)
    for some in (table, table.slice(7, 100), table.slice(0, 0)):
        graphs = [group_objects(graph_from_row(row)) for row in some.to_pylist()]
        found = vocabulary_of((), labels_of(some.to_batches(max_chunksize=64)))
        expected = vocabulary_of(graphs)
        for kind, labels in found.labels().items():
            assert set(labels) == set(expected.labels()[kind]) - {""}
