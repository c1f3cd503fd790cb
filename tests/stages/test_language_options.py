"""Options of the language stages: several samples, answers as JSON, a limit on groups, tries."""

import json

import pytest

from lempo.captions import Choice, show_captions
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import read_table, write_table
from pipeline.captions.answer import SCHEMA
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise
from pipeline.llm.types import Request, Result
from stages import interpret
from tests.belonging import sign
from tests.language_toy import FakeEngine, Toy, answered


def test_one_sample_is_the_rule(toy: Toy) -> None:
    toy.run(stage="caption")
    assert all(row["alternatives"] == [] for row in toy.rows(stage="caption"))
    assert "alternatives" not in toy.metrics("caption")["all"]


def test_further_samples_are_seeded_checked_and_cached(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.with_params(caption__samples=3, caption__sample_temperature=0.9)
    wrong: list[int] = []

    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        if request.seed is None:
            return answered(request, text)
        assert request.sampling.temperature == 0.9
        wrong.append(request.seed)
        return answered(request, text.replace("pond", "lake") if len(wrong) % 2 else text)

    engine = toy.run(answer, "caption")
    assert len(engine.asked) == 3 * 14 and len(set(wrong)) == 2 * 14
    assert len({request.key for request in engine.asked}) == 3 * 14
    rows = toy.rows(stage="caption")
    # half of the further samples repeat the text itself
    assert {len(row["alternatives"]) for row in rows} <= {0, 1, 2}
    others = [other for row in rows for other in row["alternatives"]]
    assert others and all("lake" in other["text"] and other["missed"] for other in others)
    metrics = toy.metrics("caption")["toy"]
    assert (
        metrics["alternatives"]["texts"] == len(others) and metrics["alternatives"]["all_right_rate"] == 0.0
    )
    assert metrics["model"]["all_right_rate"] == 1.0
    assert all(
        other["missed"] is None for row in toy.rows("free", "caption") for other in row["alternatives"]
    )
    assert len(toy.run(answer, "caption").asked) == 0
    toy.with_params(caption__samples=4, caption__sample_temperature=0.9)
    assert len(toy.run(answer, "caption").asked) == 14  # what is there is not drawn again
    capsys.readouterr()
    show_captions(toy.params, toy.paths, "toy", "caption", Choice(limit=10))
    assert "lake" in capsys.readouterr().out


def test_a_sample_that_fails_or_is_cut_is_left_out(toy: Toy) -> None:
    toy.with_params(caption__samples=2, caption__max_tokens=60)

    def answer(request: Request) -> Result:
        if request.seed is None:
            return toy.right(request)
        if "red" in request.messages[-1]["content"]:
            return Result(request.key, error="out of luck")
        return answered(request, "a very long tale " * 50)

    toy.run(answer, "caption")
    assert all(row["alternatives"] == [] and row["status"] == "ok" for row in toy.rows(stage="caption"))


def test_what_can_never_be_answered_is_asked_once(toy: Toy) -> None:
    toy.with_params(caption__samples=4)

    def answer(request: Request) -> Result:
        content = request.messages[-1]["content"]
        if "red" in content or "car" not in content:  # also with less of its graph
            return Result.too_long(request.key, 600, 512)
        return toy.right(request)

    asked = [request.messages[-1]["content"] for request in toy.run(answer, "caption").asked]
    assert sum("red" in content for content in asked) == 2  # one a dataset
    assert len(asked) == 2 + 2 + 4 * 12
    assert toy.run(answer, "caption").opened == 0


def test_answers_as_json(toy: Toy) -> None:
    toy.with_params(llm__output="json", llm__repairs=0)

    def answer(request: Request) -> Result:
        assert request.json_schema == SCHEMA and "JSON" in request.messages[0]["content"]
        asked = request.messages[-1]["content"]
        if "red" in asked:
            return answered(request, "no JSON at all")
        return answered(request, json.dumps({"caption": toy.texts[asked]}))

    engine = toy.run(answer, "caption")
    rows = toy.rows(stage="caption")
    assert (rows[0]["status"], rows[0]["error"]) == ("failed", "the model returned no caption")
    assert rows[1]["status"] == "ok" and rows[1]["text"] in toy.texts.values()
    keys = {request.key for request in engine.asked}
    toy.with_params(llm__repairs=0)
    assert not keys & {request.key for request in toy.run(stage="caption").asked}


def test_a_large_graph_is_summarised_and_its_row_says_so(toy: Toy) -> None:
    table = read_table(toy.paths.scene_graphs("toy"), SCENE_GRAPHS).to_pylist()
    table[0]["objects"] += [
        {"object_id": 10 + n, "name": f"shed {n % 5}", "attributes": [f"no. {n}"], "bbox": None}
        for n in range(2000)
    ]
    write_table(table, toy.paths.scene_graphs("toy"), SCENE_GRAPHS)
    sign(toy.params, toy.paths, "toy")
    asked: dict[str, str] = {}

    def answer(request: Request) -> Result:
        asked[request.messages[-1]["content"]] = request.key
        text = toy.texts.get(request.messages[-1]["content"], "Many things.")
        return answered(request, text)

    engine = FakeEngine(answer)
    interpret.run(toy.params, toy.paths, engine=engine)
    toy.run(answer, "caption")
    rows = toy.rows(stage="caption")
    assert [row["summarised"] for row in rows] == [True] + [False] * 7
    assert toy.metrics("caption")["toy"]["summarised"] == 1
    assert max(len(content.splitlines()) for content in asked) < 2 * toy.params.llm.max_groups
    assert rows[0]["status"] == "ok" and all(not row["missed"] for row in rows[1:])


def test_a_failed_row_is_tried_in_as_many_runs_as_set(toy: Toy) -> None:
    toy.with_params(llm__tries=2, llm__repairs=0, llm__max_failed_share=1)

    def answer(request: Request) -> Result:
        return Result(request.key, error="out of luck")

    assert [len(toy.run(answer, "caption").asked) for _ in range(3)] == [14, 14, 0]


def test_a_thought_that_the_limit_cut_is_no_text(toy: Toy) -> None:
    """The prompt may open the thoughts: then only answers that end them show what the other ones are."""
    toy.with_params(interpret__max_tokens=60, llm__repairs=1, llm__max_failed_share=1.0)

    def answer(request: Request) -> Result:
        text = toy.texts[request.messages[-1]["content"]]
        if "red" in text:
            return answered(request, "so many cars, " * 60)
        if "blue" in text:
            return answered(request, "<think>" + "so many cars, " * 60)
        return answered(request, f"Let me see.</think>\n{text}")

    asked = len(toy.run(answer).asked)
    rows = toy.rows()
    assert [row["status"] for row in rows] == ["failed", "failed"] + ["ok"] * 6
    for row in rows[:2]:
        assert row["error"] == (
            "the model was still thinking when it had written 60 tokens: "
            "raise llm.thought_tokens or interpret.max_tokens"
        )
    assert all(row["text"] in toy.texts.values() and not row["missed"] for row in rows[2:])
    assert asked and not toy.run(answer).asked  # answers are kept as they came: judging them again is free


def test_thoughts_have_room_of_their_own(toy: Toy) -> None:
    toy.with_params(interpret__max_tokens=60, llm__repairs=0, llm__max_failed_share=1.0)

    def answer(request: Request) -> Result:
        return answered(request, f"<think>{'so many cars, ' * 30}</think>{toy.right(request).text}")

    assert {request.max_tokens for request in toy.run(answer).asked} == {60}
    assert {row["status"] for row in toy.rows()} == {"failed"}
    toy.with_params(interpret__max_tokens=60, llm__thought_tokens=100, llm__repairs=0)
    assert {request.max_tokens for request in toy.run(answer).asked} == {160}
    assert [row["status"] for row in toy.rows()] == ["ok"] * 8
    assert not toy.run(answer, "interpret").asked


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ('{"caption": "' + "car " * 99, "had not ended its JSON when it had written 60 tokens: raise {}"),
        ("Here is the caption" + " of" * 99, None),  # what is cut may be a caption
        ("", "was still thinking when it had written 60 tokens: raise llm.thought_tokens or {}"),
        (
            "Okay, the user " * 20,
            "was still thinking when it had written 60 tokens: raise llm.thought_tokens or {}",
        ),
        ("```\n" * 99, "had not come to the caption when it had written 60 tokens: raise {}"),
    ],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_an_answer_that_the_limit_cut_says_which_limit(
    toy: Toy, answers: str, reason: str | None, output: str
) -> None:
    toy.with_params(interpret__max_tokens=60, llm__repairs=1, llm__max_failed_share=1.0, llm__output=output)

    def answer(request: Request) -> Result:
        return Result(request.key, text=answers, finish_reason="length", output_tokens=60)

    assert len(toy.run(answer).asked) == 2 * 14  # the repair too
    if output == "json" and answers:
        reason = "had not ended its JSON when it had written 60 tokens: raise {}"
    error = None if reason is None else f"the model {reason.format('interpret.max_tokens')}"
    status = "ok" if error is None else "failed"
    assert {(row["status"], row["finish_reason"], row["error"]) for row in toy.rows()} == {
        (status, "length", error)
    }
    assert not toy.run(answer).asked


def test_an_answer_that_the_context_cut_says_so(toy: Toy) -> None:
    toy.with_params(interpret__max_tokens=60, llm__repairs=0, llm__max_failed_share=1.0)

    def answer(request: Request) -> Result:
        return Result(request.key, text="<think>Two", finish_reason="length", output_tokens=41)

    toy.run(answer)
    assert toy.rows()[0]["error"] == (
        "the model was still thinking when it had written 41 tokens: raise max_model_len in llm.engine_args: "
        "the context was full before llm.thought_tokens or interpret.max_tokens"
    )


def test_an_odd_label_costs_its_own_facts_and_no_repair(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    table = read_table(toy.paths.scene_graphs("toy"), SCENE_GRAPHS).to_pylist()
    table[0]["objects"] += [{"object_id": 7, "name": "the", "attributes": ["\u2461"], "bbox": None}]
    table[1]["objects"] = [{"object_id": 7, "name": "scene", "attributes": ["one", "3"], "bbox": None}]
    table[1] |= {"relationships": [], "scene": None}
    write_table(table, toy.paths.scene_graphs("toy"), SCENE_GRAPHS)
    sign(toy.params, toy.paths, "toy")
    for row in table[:2]:
        graph = group_objects(graph_from_row(row))
        toy.texts[serialise(graph)] = verbalise(graph)
    engine = toy.run()
    rows = toy.rows()
    assert len(engine.asked) == 14  # none is asked again
    assert [row["unchecked"] for row in rows[:3]] == [["the", "2 the"], ["scene", "1 scene", "3 scene"], []]
    assert [row["facts"] for row in rows[:2]] == [rows[2]["facts"], None] and rows[1]["fact_recall"] is None
    assert all(row["missed"] == row["invented"] == [] for row in rows)
    metrics = toy.metrics("interpret")
    assert metrics["toy"]["unchecked"] == 2 and metrics["toy"]["model"]["all_right_rate"] == 1.0
    assert "unchecked" not in metrics["free"]
    show_captions(toy.params, toy.paths, "toy", "interpret", Choice(limit=2))
    assert "not checked: 2 the" in capsys.readouterr().out


def test_too_many_relations_are_summarised_and_the_row_says_so(toy: Toy) -> None:
    toy.with_params(llm__max_relations=0, llm__repairs=0)
    engine = toy.run(lambda request: answered(request, "A park."))
    assert all(row["summarised"] for row in toy.rows())
    assert all("relations:" not in request.messages[-1]["content"] for request in engine.asked)
