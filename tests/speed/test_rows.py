"""The synthetic project of `python -m speed.rows`: stages accept it, and its server says what graphs say."""

import json
import random
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, PAIRS
from pipeline.base.tables import read_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise
from speed import rows, rows_page, synthetic
from speed.figures import read_results
from speed.registry import LONG
from speed.rows import Cost, Costs, _measured
from speed.synthetic import DATASET, RulesServer, said
from stages import corpus, pairs
from tests.pipeline.pairs.graphs import random_graph


def test_the_server_says_a_graph_and_an_added_group_by_rule() -> None:
    rng = random.Random(0)
    for number in range(50):
        drawn = random_graph(rng)
        graph = type(drawn)("airport", drawn.groups, drawn.relations)
        assert said(serialise(graph)) == verbalise(graph)
        row = synthetic._graph(number, 50)
        grouped = group_objects(graph_from_row(row))
        query = next(synthetic._queries(50))
        rows = [{"subject": None, "predicate": None, "object": None, **edit} for edit in query["edits"]]
        wanted = apply_edits(grouped, edits_from_row(rows) or ())
        assert said(f"{serialise(grouped)}\nModification: {query['modification']}") == verbalise(wanted)


def test_stages_accept_the_project_and_a_changed_graph_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, images = tmp_path / "project", 300
    monkeypatch.setattr(synthetic, "_write_model", lambda folder: None)  # no stage here needs it
    synthetic.make(folder, images, "http://127.0.0.1:9/v1")
    params, paths = load_params(folder / "params.yaml"), Paths(folder)
    params = params.model_copy(update={"speed": params.speed.model_copy(update={"workers": 1})})
    corpus.run(params, paths)
    pairs.run(params, paths)
    table = read_table(paths.images(DATASET), IMAGES)
    assert table.num_rows == images and len(set(table["sha256"].to_pylist())) == 96
    queries = read_table(paths.pairs(DATASET), PAIRS)
    assert queries["split"].value_counts().to_pylist() == [
        {"values": "train", "counts": 21},
        {"values": "val", "counts": 5},
        {"values": "test", "counts": 4},
    ]
    file = folder / "archive" / DATASET / "scene_graphs.json"
    before = json.loads(file.read_text())
    synthetic.change_graph(folder, images)
    after = json.loads(file.read_text())
    assert [a["image_id"] for a, b in zip(after, before, strict=True) if a != b] == ["rows-00000299"]
    assert "rows-00000299" not in queries["reference_id"].to_pylist()


def test_a_server_answers_and_counts(tmp_path: Path) -> None:
    asking = """
import json, sys, urllib.request
body = {"messages": [{"role": "user", "content": "scene: park\\nobjects:\\n- one red car\\n- trees"}]}
request = urllib.request.Request(sys.argv[1] + "/chat/completions", json.dumps(body).encode())
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
"""
    with RulesServer() as server:
        done = subprocess.run([sys.executable, "-c", asking, server.url], capture_output=True, text=True)
    assert done.stdout == "A park scene with one red car and trees.\n" and server.asked == 1


def test_memory_is_that_of_a_process_and_its_children(tmp_path: Path) -> None:
    child = "import time; held = bytearray(50 << 20); time.sleep(1)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    cost = _measured([sys.executable, "-c", parent], tmp_path)
    assert 50 <= cost.memory_mib < 120 and cost.resident_mib >= cost.memory_mib and cost.seconds > 1


def test_an_ended_run_goes_on_with_the_stage_that_it_had_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, ran, kept = tmp_path / "300", list[str](), Costs()
    cache = Paths(project).cache
    monkeypatch.setattr(synthetic, "_write_model", lambda folder: None)

    def stage(folder: Path, name: str, server: RulesServer) -> Cost:
        """In place of the stage itself, which is not what is tested."""
        if name == "interpret" and "caption" not in ran:
            assert not (cache / "llm").exists()
            (cache / "llm").mkdir(parents=True)  # as one that is ended in its midst leaves it
            if "interpret" not in ran:
                ran.append(name)
                raise subprocess.CalledProcessError(1, name)
        ran.append(name)
        return Cost(1.0, 1.0, 10, 10, 0)

    monkeypatch.setattr(rows, "_run", stage)
    with pytest.raises(subprocess.CalledProcessError):
        rows.run(project, 300, {}, kept.update)
    assert list(kept) == ["corpus", "pairs"]
    rows.run(project, 300, dict(kept), kept.update)
    assert ran[:5] == ["corpus", "pairs", "interpret", "interpret", "caption"]
    assert tuple(kept) == rows_page.STAGES and len(kept) == len(ran) - 1
    (project / "params.yaml").unlink()  # as where the making of the project was ended
    with pytest.raises(FileExistsError):
        rows.run(project, 300, {}, kept.update)


def _rows(factor: float = 1.0) -> dict[str, dict[str, Any]]:
    """What two runs measured, the second of ten times as many images in `factor` times ten times the time."""

    def stages(seconds: float) -> Costs:
        return {
            stage: asdict(
                Cost(seconds, seconds, 100 + place, 200, int(stage == "interpret, one graph changed"))
            )
            for place, stage in enumerate(rows_page.STAGES)
        }

    return {"100000": {"stages": stages(2.0)}, "1000000": {"stages": stages(20.0 * factor)}}


def test_the_page_has_the_table_and_keeps_its_words(tmp_path: Path) -> None:
    page, plot, results = (tmp_path / name for name in ("scaling.md", "scaling.svg", "results.json"))
    page.write_text(rows_page.PAGE.read_text())
    results.write_text('{"help_seconds": {"value": 1}}')
    rows_page.write(_rows(1.5), page, plot, results)
    text, before = page.read_text(), rows_page.PAGE.read_text()
    assert "| interpret, one graph changed | 2.00 s, 106 MiB, 1 text | 30.0 s, 106 MiB, 1 text |" in text
    assert [line for line in text.splitlines() if not line.startswith("|")] == [
        line for line in before.splitlines() if not line.startswith("|")
    ]
    assert rows_page.with_table(text, _rows(1.5)) == text
    assert plot.read_text().count(">1.50<") == len(rows_page.STAGES)
    found = read_results(results)
    assert found["help_seconds"] == {"value": 1}
    assert {name: round(of["value"], 3) for name, of in found.items() if name in LONG} == {
        "million_rows_linear": 1.5,
        "million_rows_peak_gib": round((99 + len(rows_page.STAGES)) / 1024, 3),
        "million_rows_change_seconds": 4 * 30.0,
    }


def test_figures_say_which_stages_were_not_run() -> None:
    whole = _rows()
    assert rows_page.figures(whole)["million_rows_linear"].against.endswith("; all stages")
    for stage in rows_page.STAGES[8:]:
        del whole["1000000"]["stages"][stage]
    figures = rows_page.figures(whole)
    assert figures["million_rows_linear"].value == 1 and figures.keys() == LONG.keys()
    assert figures["million_rows_linear"].against.endswith("caption, one graph changed")
    del whole["1000000"]["stages"][f"caption{rows_page.CHANGED}"]
    assert not rows_page.figures(whole) and not rows_page.figures({"100000": whole["100000"]})


def test_page_and_plot_of_this_project_are_what_was_measured() -> None:
    known = read_metrics(rows.ROWS)
    text = rows_page.PAGE.read_text(encoding="utf-8")
    assert rows_page.with_table(text, known) == text
    assert rows_page.PLOT.read_text(encoding="utf-8") == rows_page.picture(known)
    said, measured = read_results(), rows_page.figures(known)
    assert {name: said[name]["value"] for name in LONG if name in said} == {
        name: round(of.value, 6) for name, of in measured.items()
    }
