"""`interpret` and `caption` on a few rows: what is written, repaired and refused."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.llm.prompt import Message
from pipeline.llm.types import Request, Result
from stages import interpret
from tests.language_toy import FakeEngine, Toy, answered


def test_the_engine_is_opened_with_the_row_that_says_most(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[Message]] = []

    def open_engine(params: Params, root: Path, row: list[Message]) -> FakeEngine:
        opened.append(list(row))
        return FakeEngine(toy.right)

    monkeypatch.setattr("pipeline.captions.run.open_engine", open_engine)
    interpret.run(toy.params, toy.paths)
    ((*_, last),) = opened
    said = [text for text in toy.texts if "Modification" not in text]
    assert last["content"] in said and len(last["content"]) == max(map(len, said))


def test_every_graph_gets_a_row_and_every_figure_a_value(toy: Toy) -> None:
    engine = toy.run()
    rows = toy.rows()
    assert [row["image_id"] for row in rows] == [f"toy-{i:04d}" for i in range(8)]
    assert all(row["status"] == "ok" and row["source"] == "first" and not row["missed"] for row in rows)
    asked = [request.messages[-1]["content"] for request in engine.asked]
    assert rows[0]["text"] == toy.texts[next(a for a in asked if "toy" in a and "red" in a)]
    assert rows[0]["facts"] == 8 and rows[0]["fact_recall"] == 1.0 and rows[0]["first_pass_all_right"]
    assert rows[0]["clip_tokens"] == len(rows[0]["text"].split()) + 2
    metrics = toy.metrics()
    assert set(metrics) == {"all", "toy", "free"}
    assert metrics["toy"].pop("over_clip_context") == sum(row["clip_tokens"] > 20 for row in rows) > 0
    right = {"texts": 8, "truncated": 0, "fact_recall": 1.0, "hallucination_rate": 0.0, "all_right_rate": 1.0}
    assert metrics["toy"] == {
        "rows": 8,
        "ok": 8,
        "failed": 0,
        "empty": 0,
        "summarised": 0,
        "fallback_rate": 0.0,
        **dict.fromkeys(("first", "model", "final"), right),
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
    engine = toy.run()
    assert len(engine.asked) == len({request.key for request in engine.asked}) == 14
    rows = toy.rows()
    assert rows[6]["text"] == rows[7]["text"] and rows[6]["row_key"] == rows[7]["row_key"]


def test_one_engine_serves_all_datasets_and_is_closed(toy: Toy) -> None:
    engine = toy.run()
    assert (engine.opened, engine.closed) == (1, 1)


def test_pseudo_captions_are_checked_against_the_edited_graph_where_edits_are_known(toy: Toy) -> None:
    toy.run(stage="caption")
    assert all(row["fact_recall"] == 1.0 for row in toy.rows("toy", "caption"))
    unknown = ("facts", "fact_recall", "missed", "invented", "first_pass_all_right")
    assert all(row[name] is None for row in toy.rows("free", "caption") for name in unknown)
    metrics = toy.metrics("caption")
    rates = {"fact_recall": 1.0, "hallucination_rate": 0.0, "all_right_rate": 1.0}
    for group in ("first", "model", "final"):
        assert metrics["free"][group] == {"texts": 8, "truncated": 0, **dict.fromkeys(rates)}
        assert metrics["all"][group] == {"texts": 16, "truncated": 0, **rates}
    assert metrics["free"]["ok"] == 8
    assert read_metrics(toy.paths.summary("caption")) == {"caption": {"all_right_rate": 1.0}}


def test_a_caption_that_forgets_the_edit_is_counted_wrong(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(lambda r: answered(r, toy.texts[r.messages[-1]["content"].split("\nModification")[0]]), "caption")
    row = toy.rows("toy", "caption")[0]
    assert row["missed"] == ["pond", "1 pond", "pond at bottom"] and not row["invented"]
    assert toy.metrics("caption")["toy"]["final"]["all_right_rate"] == 0.0


def test_a_wrong_text_is_asked_again_and_the_better_one_kept(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        if request.seed is None:  # the first attempt is greedy
            return answered(request, text.replace("red", "pink"))
        assert request.sampling.temperature == toy.params.llm.repair_temperature
        return answered(request, text)

    engine = toy.run(answer)
    assert len(engine.asked) == 16
    row = toy.rows()[0]
    assert row["source"] == "repair" and not row["missed"] and row["first_pass_all_right"] is False
    metrics = toy.metrics()["toy"]
    assert [metrics[group]["all_right_rate"] for group in ("first", "model", "final")] == [0.875, 1.0, 1.0]
    assert len(toy.run(answer).asked) == 0


def test_the_first_attempt_wins_a_tie_and_a_worse_repair_is_not_taken(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        return answered(request, text.replace("red", "pink" if request.seed is None else "small pink"))

    toy.run(answer)
    row = toy.rows()[0]
    assert row["source"] == "first" and "pink" in row["text"] and row["missed"] == ["red car"]


def test_repair_seeds_differ_by_row_and_not_by_order(toy: Toy) -> None:
    def seeds() -> dict[str, int]:
        engine = toy.run(lambda request: answered(request, "An aerial view."))
        return {r.messages[-1]["content"]: r.seed for r in engine.asked if r.seed is not None}

    both = seeds()
    assert len(set(both.values())) == len(both) == 14
    shutil.rmtree(toy.paths.cache)
    toy.with_params(datasets=["free"])
    alone = seeds()
    assert alone and alone.items() <= both.items()


def test_rules_say_what_no_attempt_got_right_only_where_the_parameter_allows(toy: Toy) -> None:
    wrong = toy.failing("blue")
    toy.run(wrong)
    assert toy.metrics()["toy"]["fallback_rate"] == 0.0
    toy.with_params(llm__fallback="rules")
    toy.run(wrong)
    row = next(row for row in toy.rows() if row["source"] == "rules")
    assert (
        row["status"] == "ok" and row["text"].startswith("A toy park scene") and row["finish_reason"] is None
    )
    metrics = toy.metrics()["toy"]
    assert (metrics["failed"], metrics["fallback_rate"]) == (0, 0.125)
    assert [metrics[group]["all_right_rate"] for group in ("first", "model", "final")] == [0.875, 0.875, 1.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interpret__prompt": "prompts/none.txt"}, "no such prompt file"),
        ({"interpret__prompt": "prompts/caption.txt"}, "placeholder is unknown"),
        ({"llm__model": "models/none"}, "no such model folder"),
        ({"llm__model": "./none"}, "no such model folder"),
        ({"llm__model": "prompts"}, "no .safetensors"),
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
        toy.run()
