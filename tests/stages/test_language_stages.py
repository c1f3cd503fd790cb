"""`interpret` and `caption` on a few rows with an engine that fails where it is told to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.contracts import INTERPRETATIONS, PSEUDO_CAPTIONS, read_table
from pipeline.errors import UserError
from pipeline.llm.types import Request, Result
from stages import caption, interpret
from stages.cache_view import show_cache
from stages.captions_view import show_captions
from tests.language_toy import ROOT, FakeEngine, Toy, WordTokenizer, said

STAGES: dict[str, Any] = {"interpret": interpret, "caption": caption}


@pytest.fixture(autouse=True)
def word_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.vlm.load_tokenizer", lambda *_: WordTokenizer())


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def _run(toy: Toy, answer: Callable[[Request], Result] | None = None, stage: str = "interpret") -> FakeEngine:
    engine = FakeEngine(answer or toy.right)
    STAGES[stage].run(toy.params, toy.paths, engine=engine)
    return engine


def _rows(toy: Toy, dataset: str = "toy", stage: str = "interpret") -> list[dict]:
    if stage == "interpret":
        return read_table(toy.paths.interpretations(dataset), INTERPRETATIONS).to_pylist()
    return read_table(toy.paths.pseudo_captions(dataset), PSEUDO_CAPTIONS).to_pylist()


def _metrics(toy: Toy, stage: str = "interpret") -> dict:
    return json.loads(toy.paths.metrics(stage).read_text())


def _tables(toy: Toy, stage: str = "interpret") -> dict[str, bytes]:
    place = toy.paths.interpretations if stage == "interpret" else toy.paths.pseudo_captions
    return {dataset: place(dataset).read_bytes() for dataset in ("toy", "free")}


# ---- what is written


def test_every_graph_gets_a_row_and_every_figure_a_value(toy: Toy) -> None:
    engine = _run(toy)
    rows = _rows(toy)
    assert [row["image_id"] for row in rows] == [f"toy-{i:04d}" for i in range(8)]
    assert all(row["status"] == "ok" and row["source"] == "first" and not row["missed"] for row in rows)
    asked = [request.messages[-1]["content"] for request in engine.asked]
    assert rows[0]["text"] == toy.texts[next(a for a in asked if "toy" in a and "red" in a)]
    assert rows[0]["facts"] == 8 and rows[0]["fact_recall"] == 1.0 and rows[0]["first_pass_all_right"]
    assert rows[0]["clip_tokens"] == len(rows[0]["text"].split()) + 2
    metrics = _metrics(toy)
    assert set(metrics) == {"all", "toy", "free"}
    assert metrics["toy"].pop("over_clip_context") == sum(row["clip_tokens"] > 20 for row in rows) > 0
    assert metrics["toy"] == {
        "rows": 8,
        "ok": 8,
        "failed": 0,
        "empty": 0,
        "truncated": 0,
        "summarised": 0,
        "fact_recall": 1.0,
        "hallucination_rate": 0.0,
        "all_right_rate": 1.0,
        "first_pass_all_right_rate": 1.0,
        "fallback_rate": 0.0,
    }
    assert metrics["all"]["rows"] == 16
    speed = json.loads(toy.paths.speed("interpret").read_text())
    assert speed["engine"] == {"device": "none"}
    assert (
        speed["generated"] == 14
        and speed["cache_hits"] == 0
        and speed["prefix_hit_rate"] == pytest.approx(7 / 13)
    )


def test_twins_are_asked_once(toy: Toy) -> None:
    engine = _run(toy)
    assert len(engine.asked) == len({request.key for request in engine.asked}) == 14
    rows = _rows(toy)
    assert rows[6]["text"] == rows[7]["text"] and rows[6]["row_key"] == rows[7]["row_key"]


def test_one_engine_serves_all_datasets_and_is_closed(toy: Toy) -> None:
    engine = _run(toy)
    assert (engine.opened, engine.closed) == (1, 1)


def test_pseudo_captions_are_checked_against_the_edited_graph_where_edits_are_known(toy: Toy) -> None:
    _run(toy, stage="caption")
    assert all(row["fact_recall"] == 1.0 for row in _rows(toy, "toy", "caption"))
    unknown = ("facts", "fact_recall", "missed", "invented", "first_pass_all_right")
    assert all(row[name] is None for row in _rows(toy, "free", "caption") for name in unknown)
    metrics = _metrics(toy, "caption")
    rates = ("fact_recall", "hallucination_rate", "all_right_rate", "first_pass_all_right_rate")
    assert [metrics["free"][name] for name in rates] == [None] * 4 and metrics["free"]["ok"] == 8
    assert [metrics["all"][name] for name in rates] == [1.0, 0.0, 1.0, 1.0]


def test_a_caption_that_forgets_the_edit_is_counted_wrong(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    _run(toy, lambda r: said(r, toy.texts[r.messages[-1]["content"].split("\nModification")[0]]), "caption")
    row = _rows(toy, "toy", "caption")[0]
    assert row["missed"] == ["pond", "1 pond", "pond at bottom"] and not row["invented"]
    assert _metrics(toy, "caption")["toy"]["all_right_rate"] == 0.0


# ---- what is generated again, and what not


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(toy: Toy) -> None:
    _run(toy)
    tables, metrics = _tables(toy), toy.paths.metrics("interpret").read_bytes()
    for dataset in ("toy", "free"):
        toy.paths.interpretations(dataset).unlink()
    engine = _run(toy)
    assert engine.opened == 0
    assert _tables(toy) == tables and toy.paths.metrics("interpret").read_bytes() == metrics


def test_one_graph_changed_is_one_text_generated(toy: Toy) -> None:
    _run(toy)
    toy.write("toy", 8, recolour=3)
    assert len(_run(toy).asked) == 1


def test_another_prompt_for_one_stage_leaves_the_other_alone_and_going_back_asks_nothing(toy: Toy) -> None:
    _run(toy)
    _run(toy, stage="caption")
    prompt = toy.paths.root / "pipeline/prompts/caption.txt"
    before = prompt.read_text()
    prompt.write_text(before.replace("plain caption", "short caption"))
    assert len(_run(toy, stage="interpret").asked) == 0
    assert len(_run(toy, stage="caption").asked) == 14
    prompt.write_text(before)
    assert len(_run(toy, stage="caption").asked) == 0


def test_other_weights_are_another_model_and_going_back_asks_nothing(toy: Toy) -> None:
    weights = toy.paths.root / "models/llm/model.safetensors"
    _run(toy)
    weights.write_bytes(b"others!")
    assert len(_run(toy).asked) == 14
    weights.write_bytes(b"weights")
    assert len(_run(toy).asked) == 0


def test_a_higher_limit_redoes_only_what_was_cut(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, interpret__max_tokens=30)
    long = "An aerial view " + "with a very long end " * 10

    def answer(request: Request) -> Result:
        return said(request, long) if "red" in request.messages[-1]["content"] else toy.right(request)

    _run(toy, answer)
    cut = [row["finish_reason"] == "length" for row in _rows(toy)]
    assert sum(cut) == 1 and _metrics(toy)["toy"]["truncated"] == 1
    toy.with_params(llm__repairs=0, interpret__max_tokens=400)
    assert len(_run(toy, answer).asked) == 2  # one a dataset
    assert _metrics(toy)["all"]["truncated"] == 0
    toy.with_params(llm__repairs=0, interpret__max_tokens=30)
    assert len(_run(toy, answer).asked) == 0
    assert _metrics(toy)["toy"]["truncated"] == 1


# ---- failures


def _failing(toy: Toy, word: str, error: str = "out of luck") -> Callable[[Request], Result]:
    def answer(request: Request) -> Result:
        if word in request.messages[-1]["content"]:
            return Result(request.key, error=error)
        return toy.right(request)

    return answer


def test_a_bad_row_fails_alone_and_is_tried_again_on_later_runs_up_to_three(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    _run(toy, _failing(toy, "blue"))
    failed = [row for row in _rows(toy) if row["status"] == "failed"]
    assert len(failed) == 1 and failed[0]["text"] is None and failed[0]["error"] == "out of luck"
    assert failed[0]["fact_recall"] == 0.0 and _metrics(toy)["toy"]["failed"] == 1
    assert [len(_run(toy, _failing(toy, "blue")).asked) for _ in range(3)] == [2, 2, 0]


def test_a_failure_that_passes_is_mended_by_the_next_run(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    _run(toy, _failing(toy, "blue"))
    _run(toy)
    assert _metrics(toy)["all"]["failed"] == 0


def test_a_permanent_failure_is_never_asked_again(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        found = toy.right(request)
        return replace(found, text=None, error="too long", permanent=True, finish_reason=None)

    assert len(_run(toy, answer).asked) == 14  # no repair either
    assert _run(toy, answer).opened == 0
    assert _metrics(toy)["all"]["failed"] == 16


def test_an_empty_answer_is_a_failure(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    _run(toy, lambda request: said(request, ' "" '))
    assert {(row["status"], row["error"]) for row in _rows(toy)} == {
        ("failed", "the model returned no caption")
    }


# ---- repairs and fallback


def test_a_wrong_text_is_asked_again_and_the_better_one_kept(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        if request.seed is None:  # the first attempt is greedy
            return said(request, text.replace("red", "pink"))
        assert request.sampling.temperature == toy.params.llm.repair_temperature
        return said(request, text)

    engine = _run(toy, answer)
    assert len(engine.asked) == 16
    row = _rows(toy)[0]
    assert row["source"] == "repair" and not row["missed"] and row["first_pass_all_right"] is False
    metrics = _metrics(toy)["toy"]
    assert metrics["all_right_rate"] == 1.0 and metrics["first_pass_all_right_rate"] == 0.875
    assert len(_run(toy, answer).asked) == 0


def test_the_first_attempt_wins_a_tie_and_a_worse_repair_is_not_taken(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        return said(request, text.replace("red", "pink" if request.seed is None else "small pink"))

    _run(toy, answer)
    row = _rows(toy)[0]
    assert row["source"] == "first" and "pink" in row["text"] and row["missed"] == ["red car"]


def test_repair_seeds_differ_by_row_and_not_by_order(toy: Toy) -> None:
    def seeds() -> dict[str, int]:
        engine = _run(toy, lambda request: said(request, "An aerial view."))
        return {r.messages[-1]["content"]: r.seed for r in engine.asked if r.seed is not None}

    both = seeds()
    assert len(set(both.values())) == len(both) == 14
    shutil.rmtree(toy.paths.cache)
    toy.with_params(datasets=["free"])
    alone = seeds()
    assert alone and alone.items() <= both.items()


def test_rules_say_what_no_attempt_got_right_only_where_the_parameter_allows(toy: Toy) -> None:
    wrong = _failing(toy, "blue")
    _run(toy, wrong)
    assert _metrics(toy)["toy"]["fallback_rate"] == 0.0
    toy.with_params(llm__fallback="rules")
    _run(toy, wrong)
    row = next(row for row in _rows(toy) if row["source"] == "rules")
    assert (
        row["status"] == "ok" and row["text"].startswith("A toy park scene") and row["finish_reason"] is None
    )
    metrics = _metrics(toy)["toy"]
    assert (metrics["failed"], metrics["fallback_rate"], metrics["all_right_rate"]) == (0, 0.125, 1.0)
    assert metrics["first_pass_all_right_rate"] == 0.875


# ---- kills


KILLED = """
import sys, os, time
sys.path.insert(0, {root!r})
from pathlib import Path
import pipeline.vlm
from tests.language_toy import FakeEngine, Toy, WordTokenizer
from stages import interpret
pipeline.vlm.load_tokenizer = lambda *_: WordTokenizer()
import pipeline.language
pipeline.language.PART_ROWS = 3
toy = Toy(Path({folder!r}), rows=24)
def answer(request):
    time.sleep(0.02)
    with open({log!r}, "a") as file:
        file.write(request.key + "\\n")
    return toy.right(request)
print("ready", flush=True)
interpret.run(toy.params, toy.paths, engine=FakeEngine(answer))
"""


@pytest.mark.parametrize("after", [0.0, 0.4])
def test_kill_nine_loses_only_what_was_in_flight(tmp_path: Path, after: float) -> None:
    folder, log = tmp_path / "killed", tmp_path / "log"
    script = KILLED.format(root=str(ROOT), folder=str(folder), log=str(log))
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None and process.stdout.readline()
    while not log.exists():
        time.sleep(0.01)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = log.read_text().split()

    killed = Toy.__new__(Toy)
    fresh = Toy(tmp_path / "fresh", rows=24)
    killed.__dict__ = dict(fresh.__dict__)
    killed.paths = replace(fresh.paths, root=folder)
    stored = set(interpret_cache_keys(killed))
    engine = _run(killed)
    assert {request.key for request in engine.asked}.isdisjoint(stored)
    assert len(before) - len(stored) <= 3 and len(stored) + len(engine.asked) == 46
    _run(fresh)
    assert _tables(killed) == _tables(fresh)


def interpret_cache_keys(toy: Toy) -> list[str]:
    import pyarrow.parquet as pq

    from pipeline.language_stage import row_cache

    return [
        key
        for part in row_cache(toy.paths).parts()
        for key in pq.read_table(part, columns=["key"])["key"].to_pylist()
    ]


def test_an_interrupt_keeps_what_came_and_closes_the_engine(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        if len(engine.asked) == 9:
            raise KeyboardInterrupt
        return toy.right(request)

    engine = FakeEngine(answer)
    with pytest.raises(KeyboardInterrupt):
        interpret.run(toy.params, toy.paths, engine=engine)
    assert engine.closed == 1 and len(interpret_cache_keys(toy)) == 8
    assert len(_run(toy).asked) == 6


# ---- mistakes are said before anything is loaded


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interpret__prompt": "pipeline/prompts/none.txt"}, "no such prompt file"),
        ({"interpret__prompt": "pipeline/prompts/caption.txt"}, "placeholder is unknown"),
        ({"llm__model": "models/none"}, "no such model folder"),
        ({"llm__model": "./none"}, "no such model folder"),
        ({"llm__model": "pipeline/prompts"}, "no .safetensors"),
    ],
)
def test_a_mistake_in_the_parameters_ends_the_stage_at_once(toy: Toy, changes: dict, words: str) -> None:
    toy.with_params(**changes)
    engine = FakeEngine(toy.right)
    with pytest.raises(UserError, match=words):
        interpret.run(toy.params, toy.paths, engine=engine)
    assert engine.opened == 0


def test_a_missing_table_ends_the_stage_at_once(toy: Toy) -> None:
    toy.paths.scene_graphs("free").unlink()
    with pytest.raises(UserError, match="table is missing"):
        _run(toy)


# ---- views


def test_captions_are_shown_worst_first(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.with_params(llm__repairs=0)
    _run(
        toy, lambda request: said(request, toy.texts[request.messages[-1]["content"]].replace("blue", "pink"))
    )
    show_captions(toy.paths, "toy", "interpret", worst=True, limit=2)
    shown = capsys.readouterr().out
    assert shown.startswith("toy toy-0001") and "- 1 car: blue; at left" in shown
    assert "missed:   blue car" in shown and "invented: pink car" in shown and "2 of 8 rows" in shown
    _run(toy, stage="caption")
    capsys.readouterr()
    show_captions(toy.paths, None, "caption", worst=False, limit=3)
    assert "Modification: add a pond at the bottom" in capsys.readouterr().out


def test_captions_before_any_run_say_what_to_do(toy: Toy) -> None:
    for dataset in (None, "toy"):
        with pytest.raises(UserError, match="dvc repro"):
            show_captions(toy.paths, dataset, "caption", worst=False, limit=3)


def test_the_cache_is_shown_and_pruned_of_what_no_table_uses(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no caption table"):
        show_cache(toy.params, toy.paths, prune=True)
    _run(toy, _failing(toy, "blue"))
    toy.write("toy", 8, recolour=3)
    _run(toy)
    show_cache(toy.params, toy.paths, prune=False)
    assert "models/llm, pipeline/prompts/interpret.txt: 15 texts" in capsys.readouterr().out
    show_cache(toy.params, toy.paths, prune=True)
    assert "removed 1 entries" in capsys.readouterr().out
    assert _run(toy).opened == 0


# ---- no engine where none is needed


def test_a_full_cache_imports_neither_vllm_nor_an_engine(toy: Toy) -> None:
    _run(toy)
    params = toy.paths.root / "params.json"
    params.write_text(toy.params.model_dump_json())
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from pipeline.params import load_params\nfrom pipeline.paths import Paths\n"
        "from stages import interpret\n"
        f"interpret.run(load_params(Path({str(params)!r})), Paths(Path({str(toy.paths.root)!r})))\n"
        "assert not {'vllm', 'torch', 'transformers', 'open_clip'} & set(sys.modules)\n"
        "assert 'pipeline.llm.vllm_engine' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
