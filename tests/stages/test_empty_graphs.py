"""Scene graphs without objects: a row for each, no request, and no harm to any stage."""

import json
import sys
from pathlib import Path

import pytest

from lempo.captions import Choice, show_captions
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, REJECTS, SCENE_GRAPHS
from pipeline.base.tables import read_table, write_table
from pipeline.captions.judging import EMPTY_GRAPH
from tests.belonging import sign
from tests.language_toy import FakeEngine, Toy, answered
from tests.pipeline.corpus.source import Source
from tests.project import Project

ADDED = {"op": "add", "kind": "object", "quantity": "2", "name": "tree", "attributes": ["green"]}


@pytest.fixture
def toy(tmp_path: Path, word_tokenizer: None) -> Toy:
    """Its first image is empty in both datasets; the query on it carries edits in `toy` alone."""
    toy = Toy(tmp_path, llm__fallback="rules", caption__samples=2)
    for dataset in ("toy", "free"):
        table = read_table(toy.paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
        table[0] |= {"objects": [], "relationships": []}
        write_table(table, toy.paths.scene_graphs(dataset), SCENE_GRAPHS)
        sign(toy.params, toy.paths, dataset)
    return toy


def _run(toy: Toy, stage: str) -> FakeEngine:
    pond = "A toy park scene with one pond at the bottom."
    return toy.run(
        lambda request: answered(request, toy.texts.get(request.messages[-1]["content"], pond)), stage
    )


def test_nothing_is_asked_about_an_empty_graph(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    engine = _run(toy, "interpret")
    assert len(engine.asked) == 12 and all("- " in r.messages[-1]["content"] for r in engine.asked)
    rows = toy.rows()
    assert (rows[0]["status"], rows[0]["text"], rows[0]["error"]) == ("empty", None, EMPTY_GRAPH)
    unknown = ("facts", "fact_recall", "missed", "invented", "first_pass_all_right", "finish_reason")
    assert all(rows[0][name] is None for name in unknown) and rows[0]["source"] == "first"
    assert {row["status"] for row in rows[1:]} == {"ok"}
    metrics = toy.metrics()["toy"]
    assert [metrics[name] for name in ("rows", "ok", "failed", "empty")] == [8, 7, 0, 1]
    right = {"texts": 7, "truncated": 0, "fact_recall": 1.0, "hallucination_rate": 0.0, "all_right_rate": 1.0}
    assert [metrics[name] for name in ("first", "model", "final")] == [right] * 3
    assert metrics["fallback_rate"] == 0.0
    assert _run(toy, "interpret").opened == 0
    capsys.readouterr()
    show_captions(toy.params, toy.paths, "toy", "interpret", Choice(worst=True, limit=8))
    assert f"toy toy-0000 · first, empty, no facts\n    scene: toy park\n    objects:\n  ! {EMPTY_GRAPH}" in (
        capsys.readouterr().out
    )


def test_a_pseudo_caption_of_it_is_asked_for_where_edits_add_something(toy: Toy) -> None:
    assert len(_run(toy, "caption").asked) == 2 * 13
    first, *rest = toy.rows("toy", "caption")
    assert first["status"] == "ok" and first["facts"] == 4 and first["fact_recall"] == 1.0
    first, *rest = toy.rows("free", "caption")
    assert (first["status"], first["text"], first["alternatives"]) == ("empty", None, [])
    assert {row["status"] for row in rest} == {"ok"}
    metrics = toy.metrics("caption")
    assert [metrics[name]["empty"] for name in ("toy", "free", "all")] == [0, 1, 1]
    assert _run(toy, "caption").opened == 0


@pytest.mark.slow
def test_the_pipeline_runs_over_them(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    source = Source(project.folder / "archive/parks")
    for graph in source.graphs:
        if graph["image_id"].endswith("red"):  # the reference of every query
            graph |= {"objects": [], "relationships": []}
    for query in source.queries[::3]:
        query |= {"modification": "add two green trees", "edits": [ADDED], "kind": "add"}
    source.write()
    project.set(datasets=["parks"], corpus__root="archive", tune__epochs=1, comparators__epochs=1)
    project.set(speed__llm__kv_cache_memory_bytes=64_000_000)
    stages = [
        ["corpus"],
        ["pairs"],
        ["interpret"],
        ["caption"],
        ["embed"],
        ["tune", "parks"],
        ["evaluate", "parks"],
    ]
    for stage in [*stages, ["report"]]:
        project.run(sys.executable, "-m", "lempo.cli", *stage)
    assert read_table(project.paths.rejects, REJECTS).num_rows == 0
    texts = read_table(project.paths.interpretations("parks"), INTERPRETATIONS).to_pylist()
    assert {row["image_id"]: row["status"] for row in texts} == {
        graph["image_id"]: "ok" if graph["objects"] else "empty" for graph in source.graphs
    }
    captions = read_table(project.paths.pseudo_captions("parks"), PSEUDO_CAPTIONS).to_pylist()
    asked = [row for row in captions if int(row["query_id"]) % 3 == 0]
    assert all(row["status"] == "ok" and "trees" in row["text"] and row["facts"] for row in asked)
    assert [row["status"] for row in captions if row not in asked] == ["empty"] * 6
    speed = json.loads(project.paths.speed("caption").read_text())
    assert (speed["engine"]["device"], speed["engine"]["max_model_len"]) == ("cpu", 512)
    assert json.loads(project.paths.metrics("evaluate", "parks").read_text())["hybrid"]["R@5"] >= 0
    page = (project.folder / "report/index.html").read_text()
    assert "of empty graphs" in page and f"(empty: {EMPTY_GRAPH})" in page
