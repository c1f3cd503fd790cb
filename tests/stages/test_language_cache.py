"""What the language stages ask again and what not: after a change, a failure, a kill."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.interrupts import Interrupted
from pipeline.base.metrics_io import read_metrics
from pipeline.base.storage import remove_unused
from pipeline.captions.run import row_cache, written_parts
from pipeline.llm.types import Request, Result
from stages import interpret
from tests.language_toy import NO_TENSORS, ROOT, Toy, answered


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(toy: Toy) -> None:
    toy.run()
    tables, metrics = toy.tables(), toy.paths.metrics("interpret").read_bytes()
    for dataset in ("toy", "free"):
        toy.paths.interpretations(dataset).unlink()
    engine = toy.run()
    assert engine.opened == 0
    assert toy.tables() == tables and toy.paths.metrics("interpret").read_bytes() == metrics


def test_one_graph_changed_is_one_text_generated(toy: Toy) -> None:
    toy.run()
    toy.write("toy", 8, recolour=3)
    assert len(toy.run().asked) == 1


def test_another_prompt_for_one_stage_leaves_the_other_alone_and_going_back_asks_nothing(toy: Toy) -> None:
    toy.run()
    toy.run(stage="caption")
    prompt = toy.paths.root / "prompts/caption.txt"
    before = prompt.read_text()
    prompt.write_text(before.replace("Write the caption", "Write a caption"))
    assert len(toy.run(stage="interpret").asked) == 0
    assert len(toy.run(stage="caption").asked) == 14
    prompt.write_text(before)
    assert len(toy.run(stage="caption").asked) == 0


def test_other_weights_are_another_model_and_going_back_asks_nothing(toy: Toy) -> None:
    weights = toy.paths.root / "models/llm/model.safetensors"
    toy.run()
    weights.write_bytes(NO_TENSORS + b"more")
    assert len(toy.run().asked) == 14
    weights.write_bytes(NO_TENSORS)
    assert len(toy.run().asked) == 0


def test_a_higher_limit_redoes_only_what_was_cut(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, interpret__max_tokens=50)
    long = "An aerial view " + "with a very long end " * 20

    def answer(request: Request) -> Result:
        return answered(request, long) if "red" in request.messages[-1]["content"] else toy.right(request)

    toy.run(answer)
    cut = [row["finish_reason"] == "length" for row in toy.rows()]
    assert sum(cut) == 1 and toy.metrics()["toy"]["final"]["truncated"] == 1
    toy.with_params(llm__repairs=0, interpret__max_tokens=400)
    assert len(toy.run(answer).asked) == 2  # one a dataset
    assert toy.metrics()["all"]["final"]["truncated"] == 0
    toy.with_params(llm__repairs=0, interpret__max_tokens=50)
    assert len(toy.run(answer).asked) == 0
    assert toy.metrics()["toy"]["final"]["truncated"] == 1


def test_a_bad_row_fails_alone_and_is_tried_again_on_later_runs_up_to_three(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(toy.failing("blue"))
    failed = [row for row in toy.rows() if row["status"] == "failed"]
    assert len(failed) == 1 and failed[0]["text"] is None and failed[0]["error"] == "out of luck"
    assert failed[0]["fact_recall"] == 0.0 and toy.metrics()["toy"]["failed"] == 1
    assert [len(toy.run(toy.failing("blue")).asked) for _ in range(3)] == [2, 2, 0]


def test_a_failure_that_passes_is_mended_by_the_next_run(toy: Toy) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(toy.failing("blue"))
    toy.run()
    assert toy.metrics()["all"]["failed"] == 0


def test_a_permanent_failure_is_never_asked_again(toy: Toy) -> None:
    def answer(request: Request) -> Result:
        return Result(request.key, error="too long", permanent=True)

    toy.with_params(llm__max_failed_share=1)
    assert len(toy.run(answer).asked) == 14 + 2  # no repair; without the car, all of a dataset are alike
    assert toy.run(answer).opened == 0
    assert toy.metrics()["all"]["failed"] == 16


def test_an_empty_answer_is_a_failure(toy: Toy) -> None:
    toy.with_params(llm__repairs=0, llm__max_failed_share=1)
    toy.run(lambda request: answered(request, ' "" '))
    assert {(row["status"], row["error"]) for row in toy.rows()} == {
        ("failed", "the model returned no caption")
    }


KILLED = """
import sys, os, time
sys.path.insert(0, {root!r})
from pathlib import Path
import pipeline.vision.vlm
from tests.language_toy import FakeEngine, Toy, WordTokenizer
from stages import interpret
pipeline.vision.vlm.load_tokenizer = lambda *_: WordTokenizer()
import pipeline.captions.writer
pipeline.captions.writer.FLUSH_ROWS = 3
toy = Toy(Path({folder!r}), rows=24)
def answer(request):
    time.sleep(0.02)
    with open({log!r}, "a") as file:
        file.write(request.key + "\\n")
    return toy.right(request)
print("ready", flush=True)
interpret.run(toy.params, toy.paths, engine=FakeEngine(answer))
"""


@pytest.mark.usefixtures("word_tokenizer")
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
    stored = set(killed.cached())
    engine = killed.run()
    assert {request.key for request in engine.asked}.isdisjoint(stored)
    assert len(before) - len(stored) <= 3 and len(stored) + len(engine.asked) == 46
    fresh.run()
    assert killed.tables() == fresh.tables()


def test_an_interrupt_keeps_what_came_and_closes_the_engine(toy: Toy) -> None:
    engine = toy.interrupted(after=8)
    with pytest.raises(Interrupted):
        interpret.run(toy.params, toy.paths, engine=engine)
    assert engine.closed == 1 and len(toy.cached()) == 8
    assert len(toy.run().asked) == 6


def test_a_full_cache_imports_neither_vllm_nor_an_engine(toy: Toy) -> None:
    toy.run()
    params = toy.paths.root / "params.json"
    params.write_text(toy.params.model_dump_json())
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path\n"
        "from pipeline.base.params import load_params\nfrom pipeline.base.paths import Paths\n"
        "from stages import interpret\n"
        f"interpret.run(load_params(Path({str(params)!r})), Paths(Path({str(toy.paths.root)!r})))\n"
        "assert not {'vllm', 'torch', 'transformers', 'open_clip'} & set(sys.modules)\n"
        "assert 'pipeline.llm.vllm_engine' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_damaged_part_is_generated_again_and_counted(
    toy: Toy, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    toy.run()
    whole, keys = toy.tables(), toy.cached()
    (part,) = row_cache(toy.paths).parts()
    content = part.read_bytes()
    part.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    remove_unused(written_parts(toy.paths), days=0)
    assert {request.key for request in toy.run().asked} == set(keys)
    assert toy.tables() == whole
    assert "1 damaged part of the cache set aside" in capsys.readouterr().err
    assert str(part) in caplog.text
    assert read_metrics(toy.paths.speed("interpret"))["damaged_cache_parts"] == 1
    assert toy.run().asked == []
