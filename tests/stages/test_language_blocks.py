"""`interpret` and `caption` over several blocks of rows: the same bytes as over one, in bounded memory."""

import gc
import logging
import shutil
from pathlib import Path

import pytest

from pipeline.base import kept_parts, progress, tables
from pipeline.base.errors import UserError
from pipeline.base.interrupts import Interrupted
from pipeline.base.schemas import QUERIES
from pipeline.base.tables import read_table, write_table
from pipeline.captions import run as blocks
from pipeline.captions.rows import Row
from pipeline.llm.types import Request, Result
from stages import caption, interpret
from tests.belonging import sign
from tests.language_toy import FakeEngine, Toy, answered


def _mixed(toy: Toy, request: Request) -> Result:
    """Blue always fails, red is wrong at first; the rest is right, a sample in other words."""
    prompt = request.messages[-1]["content"]
    text = toy.texts[prompt]
    if "blue" in prompt:
        return Result(request.key, error="out of luck")
    if request.seed is None:
        return answered(request, text.replace("red", "pink"))
    return answered(request, text + (" It is calm." if "green" in prompt else ""))


def in_blocks(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """Blocks of at most so many rows."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", rows)
    monkeypatch.setattr(kept_parts, "MOST_ROWS", rows)  # of `interpret`; those of `caption` are batches
    monkeypatch.setattr(tables, "READ_ROWS", rows)


@pytest.mark.parametrize("stage", ["interpret", "caption"])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_blocks_change_no_byte_and_no_request(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, stage: str, size: int
) -> None:
    toy.with_params(caption__samples=2)
    whole = toy.run(lambda request: _mixed(toy, request), stage)
    tables, metrics = toy.tables(stage), toy.paths.metrics(stage).read_bytes()
    assert toy.metrics(stage)["all"]["failed"] == 2
    shutil.rmtree(toy.paths.cache)
    in_blocks(monkeypatch, size)
    engine = toy.run(lambda request: _mixed(toy, request), stage)
    assert (engine.opened, engine.closed) == (1, 1)
    # twins in two blocks share a request, and one that failed is left to the next run
    assert sorted(r.key for r in engine.asked) == sorted(r.key for r in whole.asked)
    assert toy.tables(stage) == tables and toy.paths.metrics(stage).read_bytes() == metrics


def test_a_full_cache_opens_no_engine_for_any_block(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.run()
    tables = toy.tables()
    in_blocks(monkeypatch, 3)
    assert toy.run().opened == 0 and toy.tables() == tables


def test_wrong_edits_in_the_last_block_are_refused_before_an_engine_is_opened(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_blocks(monkeypatch, 3)
    toy.with_params(datasets=["free", "toy"])
    queries = read_table(toy.paths.queries("toy"), QUERIES).to_pylist()
    queries[-1]["edits"][0]["op"] = "remove"
    write_table(queries, toy.paths.queries("toy"), QUERIES)
    sign(toy.params, toy.paths, "toy")
    engine = FakeEngine(toy.right)
    with pytest.raises(UserError, match="Correct the edits of query toy-q0007"):
        caption.run(toy.params, toy.paths, engine=engine)
    assert engine.opened == 0


def test_an_interrupt_in_a_later_block_counts_all_texts_and_leaves_the_old_tables(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.run(toy.failing("purple"))
    tables = toy.tables()
    shutil.rmtree(toy.paths.cache)
    in_blocks(monkeypatch, 3)

    engine = toy.interrupted(after=9)
    with pytest.raises(Interrupted, match="the 9 texts generated are kept"):
        interpret.run(toy.params, toy.paths, engine=engine)
    assert toy.tables() == tables
    assert {path.name for path in toy.paths.interpretations("toy").parent.iterdir()} == {
        "toy.parquet",
        "free.parquet",
    }
    assert len(toy.run().asked) == 5


@pytest.mark.usefixtures("word_tokenizer")
@pytest.mark.parametrize("stage", ["interpret", "caption"])
def test_one_block_of_rows_is_held_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    toy = Toy(tmp_path, rows=40)
    in_blocks(monkeypatch, 8)
    held, before = [], _rows_held()  # other tests keep some

    def answer(request: Request) -> Result:
        held.append(_rows_held() - before)
        return toy.right(request)

    toy.run(answer, stage)
    assert max(held) == 8


def _rows_held() -> int:
    return sum(type(thing) is Row for thing in gc.get_objects())


def test_one_bar_shows_the_rows_of_all_blocks(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    toy.with_params(datasets=["toy"])
    toy.run(toy.failing("purple"))  # a repair each
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress, "LINE_S", 0.0)
    toy.with_params(datasets=["toy", "free"])
    in_blocks(monkeypatch, 4)
    with caplog.at_level(logging.INFO, logger=progress.__name__):
        toy.run()
    shown = [message for message in caplog.messages if message.startswith("interpret: ")]
    assert "interpret: 7 of 7 rows" in shown[-1]  # of 16 rows, 8 are known and one is a twin
    assert sum("interpret: 0 of " in line for line in shown) == 1
