"""Dense and odd graphs through a language stage: each gets a caption, or fails alone and says why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.expected import Expected
from pipeline.graph.edits import Edit, apply_edits, edit_to_row
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import Group, graph_from_row
from pipeline.graph.summary import Limits, summarised
from pipeline.graph.verbalise import verbalise
from pipeline.llm.types import Request, Result
from stages import interpret, pairs
from tests.language_toy import ROOT, Toy, answered
from tests.stages.odd_graphs import DENSE, HOPELESS, ODD, SIZE, UNCHECKED, all_related, graph, node

GRAPHS = DENSE | ODD | UNCHECKED | HOPELESS
EMPTY = ("no object, only a scene", "nothing at all")
CONTEXT = 150  # words of a prompt's last turn and its answer


def _write(toy: Toy, graphs: dict[str, dict[str, Any]], edits: tuple[Edit, ...] | None = None) -> None:
    """Give `toy` these graphs, with a query on each, and the texts that say them and their summaries."""
    rows = [{"image_id": f"image {number:02}", **graph} for number, graph in enumerate(graphs.values())]
    images = [
        {
            "image_id": row["image_id"],
            "split": "test",
            "path": "x",
            "sha256": "0",
            "width": SIZE,
            "height": SIZE,
        }
        for row in rows
    ]
    queries = [
        {
            "query_id": f"query {number:02}",
            "split": "test",
            "reference_id": row["image_id"],
            "target_id": rows[number - 1]["image_id"],
            "target_ids": [rows[number - 1]["image_id"]],
            "modification": "the change",
            "kind": "relation",
            "edits": None if edits is None else [edit_to_row(edit) for edit in edits],
        }
        for number, row in enumerate(rows)
        if len(rows) > 1
    ]
    Expected(toy.params, toy.paths).write_corpus("toy", images, rows, queries)
    if queries:
        pairs.run(toy.params, toy.paths)
    for row in rows:
        whole, limits = graph_from_row(row), Limits(toy.params.llm.max_groups, toy.params.llm.max_relations)
        for _ in range(12):
            graph, _ = summarised(whole, *limits, edits)
            wanted = graph if edits is None else apply_edits(graph, edits)
            toy.texts[serialise(graph) + ("" if edits is None else "\nModification: the change")] = verbalise(
                wanted
            )
            limits = Limits.half_of(graph)


def _answer(toy: Toy, request: Request) -> Result:
    """What a model with a context of `CONTEXT` words gives that says all that it is told."""
    prompt = request.messages[-1]["content"]
    words = len(prompt.split())
    if words >= CONTEXT:
        return Result.too_long(request.key, words, CONTEXT)
    text, room = toy.texts[prompt].split(), min(CONTEXT - words, request.max_tokens)
    cut = len(text) > room
    result = answered(request, " ".join(text[:room]))
    return replace(result, finish_reason="length") if cut else result


@pytest.fixture
def toy(toy: Toy) -> Toy:
    toy.with_params(datasets=["toy"], llm__repairs=0)
    return toy


def _by_name(toy: Toy, graphs: dict[str, Any], stage: str = "interpret") -> dict[str, dict[str, Any]]:
    return dict(zip(graphs, toy.rows(stage=stage), strict=True))


def test_every_graph_has_a_caption_or_fails_alone(toy: Toy) -> None:
    _write(toy, GRAPHS)
    toy.run(lambda request: _answer(toy, request))
    rows = _by_name(toy, GRAPHS)
    for name, row in rows.items():
        if name in HOPELESS:
            assert (row["status"], row["text"]) == ("failed", None)
            assert (
                row["error"].startswith("the prompt has ")
                and "max_model_len in llm.engine_args" in row["error"]
            )
        elif name in EMPTY:
            assert row["status"] == "empty"
        else:
            assert (row["status"], row["finish_reason"]) == ("ok", "stop"), name
            assert name in UNCHECKED or not (row["missed"] or row["invented"]), name
            assert row["summarised"] or name not in DENSE, name


def test_a_second_run_finds_every_answer_in_the_cache(toy: Toy) -> None:
    _write(toy, GRAPHS)
    toy.run(lambda request: _answer(toy, request))
    rows = toy.rows()
    assert toy.run().opened == 0 and toy.rows() == rows


def test_the_models_first_answer_counts_as_it_was(toy: Toy) -> None:
    """What a shorter prompt mends is no merit of the first answer; a prompt that is too long got none."""
    graphs = {"cut": all_related(12), "small": ODD["a chain of relations"]}
    _write(toy, graphs)
    toy.with_params(datasets=["toy"], llm__repairs=0, interpret__max_tokens=60)
    toy.run(lambda request: answered(request, toy.texts[request.messages[-1]["content"]]))
    row = _by_name(toy, graphs)["cut"]
    assert (row["finish_reason"], row["summarised"], row["missed"]) == ("stop", True, [])
    assert row["first_pass_all_right"] is False and row["source"] == "first"
    figures = toy.metrics()["toy"]
    assert [figures[group]["truncated"] for group in ("first", "model", "final")] == [1, 0, 0]
    assert [figures[group]["all_right_rate"] for group in ("first", "model", "final")] == [0.5, 1.0, 1.0]


def test_a_model_that_rambles_is_not_asked_for_less(toy: Toy) -> None:
    graphs = {"small": ODD["a relation to itself"], "other": ODD["parallel relations"]}
    _write(toy, graphs)
    engine = toy.run(lambda request: answered(request, "A red car, " * 200))
    assert len(engine.asked) == 2 and not any(row["summarised"] for row in toy.rows())
    assert toy.metrics()["toy"]["final"]["truncated"] == 2


def test_an_answer_in_json_that_is_cut_is_asked_for_less(toy: Toy) -> None:
    graphs = {"dense": all_related(12), "small": ODD["a relation to itself"]}
    _write(toy, graphs)
    toy.with_params(datasets=["toy"], llm__repairs=0, llm__output="json", interpret__max_tokens=60)

    def answer(request: Request) -> Result:
        return answered(request, json.dumps({"caption": toy.texts[request.messages[-1]["content"]]}))

    toy.run(answer)
    row = _by_name(toy, graphs)["dense"]
    assert (row["status"], row["summarised"], row["missed"]) == ("ok", True, [])


def test_a_server_that_refuses_a_long_prompt_is_asked_for_less(toy: Toy) -> None:
    graphs = {"dense": all_related(25), "small": ODD["a relation to itself"]}
    _write(toy, graphs)

    def answer(request: Request) -> Result:
        result = _answer(toy, request)
        return replace(result, error="HTTP 400: too many tokens", external=True) if result.error else result

    toy.run(answer)
    row = _by_name(toy, graphs)["dense"]
    assert (row["status"], row["summarised"], row["missed"]) == ("ok", True, [])


def test_what_fails_is_written_by_rule_where_the_parameter_allows(toy: Toy) -> None:
    _write(toy, GRAPHS)
    toy.with_params(datasets=["toy"], llm__repairs=0, llm__fallback="rules")
    toy.run(lambda request: _answer(toy, request))
    (name,) = HOPELESS
    row = _by_name(toy, GRAPHS)[name]
    assert (row["status"], row["source"], row["replaced"]["text"]) == ("ok", "rules", None)
    assert row["replaced"]["error"].startswith("the prompt has ")
    assert toy.metrics()["toy"]["model"]["texts"] == toy.metrics()["toy"]["ok"] - 1


REMOVED = Edit("remove", "relation", subject="warehouse", predicate="next to", object="hangar")
ADDED = (Edit("add", "object", Group("2", "fountain", ("round",), "top")),)


def test_what_a_modification_names_stays_in_every_shorter_prompt(toy: Toy) -> None:
    graphs = {"dense": all_related(25), "denser": all_related(25, "small", "red")}
    _write(toy, graphs, (REMOVED, *ADDED))
    engine = toy.run(lambda request: _answer(toy, request), "caption")
    prompts = [request.messages[-1]["content"] for request in engine.asked]
    assert len(prompts) > 3 and max(len(prompt.split()) for prompt in prompts) >= CONTEXT
    assert all("warehouse is next to the hangar" in prompt for prompt in prompts)
    for row in toy.rows(stage="caption"):
        assert (row["status"], row["finish_reason"], row["summarised"]) == ("ok", "stop", True)
        assert "two round fountains at the top" in row["text"] and not row["missed"] and not row["invented"]
        assert "warehouse is next to the hangar" not in row["text"]


@pytest.mark.slow
def test_the_embedded_captioner_gives_each_a_caption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    plain = {
        "plain": graph([node(0, "car", "red", at=(50, 150)), node(1, "tree", "many")], [(0, "next to", 1)])
    }
    toy = Toy(
        tmp_path,
        datasets=["toy"],
        llm__model=str(ROOT / "models/captioner"),
        llm__max_failed_share=0.1,
        vlm__model=f"local-dir:{ROOT / 'models/vlm'}",
        speed__llm={"kv_cache_memory_bytes": 64_000_000},
    )
    graphs = plain | GRAPHS
    _write(toy, graphs)
    interpret.run(toy.params, toy.paths)
    rows = _by_name(toy, graphs)
    statuses = {name: row["status"] for name, row in rows.items()}
    assert statuses == {
        name: "failed" if name in HOPELESS else "empty" if name in EMPTY else "ok" for name in graphs
    }
    for name in HOPELESS:
        assert "tokens and the model's context 512" in rows[name]["error"]
    for name in DENSE:
        assert (rows[name]["finish_reason"], rows[name]["summarised"]) == ("stop", True), rows[name]["text"]
    assert not rows["plain"]["missed"] and not rows["plain"]["invented"]
