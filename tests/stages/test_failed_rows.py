"""Rows that fail: how many a stage takes, what it says, and what the next run asks again."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import UserError
from pipeline.base.storage import remove_unused
from pipeline.captions.row_cache import Entry
from pipeline.captions.run import row_cache, written_parts
from pipeline.llm import endpoint_engine
from pipeline.llm.types import Request, Result
from stages import interpret
from tests.faulty_server import FAULTS, KEY, FaultyServer, http
from tests.language_toy import STAGES, FakeEngine, Toy, answered
from tests.project import Project

Answer = Callable[[Request], Result]


def _external(toy: Toy, word: str) -> Answer:
    """Answers right where the request lacks a word; else the service fails."""
    return lambda request: replace(
        toy.failing(word, "HTTP 500: oh no 17")(request), external=_has(request, word)
    )


def _has(request: Request, word: str) -> bool:
    return word in request.messages[-1]["content"]


def _refused(toy: Toy, answer: Answer, stage: str = "interpret") -> tuple[FakeEngine, str]:
    """The engine of a run with too many failed rows, and what the run says."""
    engine = FakeEngine(answer)
    with pytest.raises(UserError) as caught:
        STAGES[stage].run(toy.params, toy.paths, engine=engine)
    return engine, str(caught.value)


def test_a_run_whose_rows_all_fail_writes_nothing_and_says_why(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    _, said = _refused(toy, _external(toy, ""))
    assert "llm.max_failed_share" in said and "got '0.01'" in said
    assert "8 of 8 rows of free, 8 of 8 rows of toy failed" in said
    assert re.search(r"16 times \(as toy-\S+\): HTTP 500: oh no 17", said) and "run the stage again" in said
    assert not toy.paths.interpretations("toy").exists() and not toy.paths.metrics("interpret").exists()
    assert len(toy.run().asked) == 14 and toy.metrics()["all"]["failed"] == 0


def test_texts_of_a_refused_run_are_kept_and_only_failed_rows_are_asked_again(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    engine, said = _refused(
        toy, lambda request: _external(toy, "red" if _has(request, "red") else "blue")(request)
    )
    assert "2 of 8 rows of toy" in said and len(toy.cached()) == len(engine.asked) - 4
    for _ in range(4):  # more often than llm.tries
        again, _ = _refused(toy, _external(toy, ""))
        assert len(again.asked) == 4
    assert len(toy.run().asked) == 4
    assert toy.run().opened == 0


def test_one_row_of_a_small_dataset_may_fail(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(toy.failing("blue"))
    assert toy.metrics()["toy"]["failed"] == 1
    toy.with_params(llm__repairs=0, llm__max_failed_share=0)
    _, said = _refused(toy, toy.failing("blue"))
    assert "1 of 8 rows of free, 1 of 8 rows of toy failed" in said


def test_a_dataset_of_one_row_may_not_fail(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, datasets=["toy"])
    toy.write("toy", 1)
    _, said = _refused(toy, toy.failing(""))
    assert ": 1 of 1 rows of toy failed" in said


def test_rows_that_were_given_up_are_said(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, llm__tries=1)
    _refused(toy, toy.failing(""))
    again, said = _refused(toy, toy.right)
    assert not again.asked and "but for 16 that failed in llm.tries runs: raise that" in said
    toy.with_params(llm__repairs=0, llm__tries=2)
    assert len(toy.run().asked) == 14


def test_rules_stand_for_rows_that_fail_for_their_own_sake_alone(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, llm__fallback="rules")
    toy.run(toy.failing("red"))
    assert toy.metrics()["all"] | {"failed": 0, "fallback_rate": 0.125} == toy.metrics()["all"]
    toy.with_params(llm__repairs=0, llm__fallback="rules", llm__temperature=0.5, llm__max_failed_share=0)
    _, said = _refused(toy, _external(toy, "red"))
    assert "1 of 8 rows of toy failed" in said


def test_rules_do_not_stand_for_a_model_that_says_nothing(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, llm__fallback="rules", llm__tries=9)
    for answer in (toy.failing(""), lambda request: answered(request, " "), _external(toy, "")):
        _, said = _refused(toy, answer)
        assert "8 of 8 rows of toy failed" in said and "run the stage again" in said
        assert not toy.paths.interpretations("toy").exists()
    toy.with_params(llm__repairs=0, llm__fallback="rules", llm__tries=1)
    _, said = _refused(toy, toy.right)
    assert "but for 16 that failed in llm.tries runs: raise that" in said
    toy.with_params(llm__repairs=0, llm__fallback="rules", llm__max_failed_share=1)
    toy.run(toy.failing(""))
    assert toy.metrics()["all"]["fallback_rate"] == 1.0


def test_a_sample_that_the_service_lost_is_a_failure(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, caption__samples=2)

    def answer(request: Request) -> Result:
        if request.seed is None:
            return toy.right(request)
        return Result(request.key, error="HTTP 503", external=True)

    _, said = _refused(toy, answer, "caption")
    assert "8 of 8 rows of toy failed" in said and "HTTP 503" in said


@pytest.mark.parametrize("empty", ["", " \n\t ", ' "" ', "\x00"])
def test_an_empty_answer_is_no_cached_text(toy: Toy, empty: str) -> None:
    toy.with_params(llm__repairs=0)
    _, said = _refused(toy, lambda request: replace(answered(request, "x"), text=empty))
    assert "the model returned no caption" in said
    assert len(toy.run().asked) == 14 and toy.metrics()["all"]["failed"] == 0


def test_an_empty_text_of_an_older_cache_is_asked_again(toy: Toy) -> None:
    engine = toy.run()
    cache = row_cache(toy.paths)
    for part in cache.parts():
        part.unlink()
    remove_unused(written_parts(toy.paths), days=0)
    cache.add(
        [
            Entry(
                request.key,
                " ",
                row_key=request.key,
                model="m",
                prompt_hash="p",
                max_tokens=160,
                tries=0,
                finish_reason="stop",
                output_tokens=1,
            )
            for request in engine.asked
        ]
    )
    assert len(toy.run().asked) == 14 and toy.run().opened == 0


def test_a_server_that_fails_and_recovers_through_the_real_engine(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_engine, "FIRST_WAIT_S", 0.01)
    fault: list[str | None] = ["500"]
    with FaultyServer(lambda word, count: fault[0]) as server:
        endpoint: dict[str, Any] = {
            "engine": "endpoint",
            "endpoint": server.url,
            "model": "served",
            "repairs": 0,
        }
        toy.with_params(
            speed__endpoint_retries=1, **{f"llm__{name}": value for name, value in endpoint.items()}
        )
        for _ in range(4):
            with pytest.raises(UserError, match=r"8 of 8 rows of toy failed.*HTTP 500"):
                interpret.run(toy.params, toy.paths)
        fault[0] = None
        interpret.run(toy.params, toy.paths)
    assert toy.metrics()["all"]["failed"] == 0


def test_a_key_that_a_server_repeats_is_in_no_file_and_no_line(
    toy: Toy,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY + " \n")
    leaks = [name for name in FAULTS if "key" in name]
    with FaultyServer(lambda word, count: leaks[sum(map(ord, word)) % len(leaks)]) as server:
        server.models = http({"data": [{"id": "served", "root": KEY}]})
        endpoint: dict[str, Any] = {
            "engine": "endpoint",
            "endpoint": server.url,
            "model": "served",
            "repairs": 0,
        }
        for share in (1, 0):
            toy.with_params(
                speed__endpoint_retries=0,
                llm__max_failed_share=share,
                **{f"llm__{name}": value for name, value in endpoint.items()},
            )
            with suppress(UserError) if share else pytest.raises(UserError, match=r"\*\*\*"):
                interpret.run(toy.params, toy.paths)
        assert server.keys == {f"Bearer {KEY}"}
    assert all("***" in row["error"] for row in toy.rows())
    files = [path for path in toy.paths.root.rglob("*") if path.is_file()]
    tables = [str(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
    others = [path.read_text(errors="replace") for path in files if path.suffix != ".parquet"]
    shown = [caplog.text, *capfd.readouterr()]
    assert len(tables) >= 3 and not any(KEY[:8] in text for text in [*tables, *others, *shown])


@pytest.mark.slow
def test_dvc_runs_a_failed_stage_again(tmp_path: Path) -> None:
    fault: list[str | None] = ["502"]
    with FaultyServer(lambda word, count: fault[0]) as server:
        endpoint = {"llm__engine": "endpoint", "llm__endpoint": server.url, "llm__model": "served"}
        project = Project.small(
            tmp_path / "project", ["tennis"], llm__repairs=0, speed__endpoint_retries=0, **endpoint
        )
        done = project.run("dvc", "repro", "interpret", check=False)
        assert done.returncode and "requests in a row" in done.stderr and "Traceback" not in done.stderr
        fault[0] = None
        assert "Running stage 'interpret'" in project.run("dvc", "repro", "interpret").stdout
        assert "didn't change" in project.run("dvc", "repro", "interpret").stdout
