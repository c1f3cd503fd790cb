"""A language model in a search: what it is asked, what the row cache saves, and what is done if it cannot."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lempo.search.searcher import Query, Searcher
from pipeline.base.errors import UserError
from pipeline.llm.types import Request, Result
from tests.language_toy import FakeEngine, answered
from tests.lempo.search.conftest import Tuned

pytest.importorskip("lancedb")
QUERY = Query(image_id="test-car-red-a", text="make the car green", k=3)
GRAPH = {"objects": [{"object_id": 1, "name": "boat", "attributes": ["white"]}]}


def engine(text: Callable[[Request], str] = lambda _: "a green car.") -> FakeEngine:
    return FakeEngine(lambda request: answered(request, text(request)))


def test_the_pseudo_caption_is_written_once(tuned: Tuned) -> None:
    fake = engine()
    searcher = tuned.searcher(llm=fake)
    answer = searcher.search(QUERY)
    assert answer.pseudo_caption == "a green car."
    assert not any("pseudo caption:" in line for line in answer.left_out)
    assert answer.weights["pseudo_caption"] == 0.5 and answer.hits[0].shares["pseudo_caption"]
    assert "make the car green" in fake.asked[-1].messages[-1]["content"]
    asked = len(fake.asked)
    assert searcher.search(QUERY).pseudo_caption == "a green car." and len(fake.asked) == asked
    other = tuned.searcher(llm=engine(lambda _: "never asked."))
    assert other.search(QUERY).pseudo_caption == "a green car."
    assert (fake.opened, fake.closed) == (1, 0)
    searcher.close()
    assert fake.closed == 1


def test_the_caption_alone_is_taken_from_an_answer(tuned: Tuned) -> None:
    said = "<think>A car, green now.</think> **Caption:** a green car. I hope this helps!"
    searcher = tuned.searcher(llm=engine(lambda _: said))
    answer = searcher.search(Query(image_id="test-car-red-a", text="make the car all green", k=3))
    assert answer.pseudo_caption == "a green car."


def test_a_graph_that_comes_along_is_interpreted(tuned: Tuned) -> None:
    fake = engine(lambda request: "a white boat.")
    searcher = tuned.searcher(llm=fake)
    answer = searcher.search(Query(image_id="test-car-red-a", text="make it blue", graph=GRAPH))
    assert answer.interpretation == answer.pseudo_caption == "a white boat."
    assert fake.opened == 1 and len(fake.asked) == 2


def test_texts_of_the_tables_need_no_engine(tuned: Tuned) -> None:
    fake = engine()
    searcher = tuned.searcher(llm=fake)
    answer = searcher.search(Query(image_id="test-car-red-a", text="make the car blue"))
    assert answer.interpretation == "a red car." and answer.pseudo_caption and fake.opened == 0


def test_a_weight_of_0_asks_nothing(tuned: Tuned) -> None:
    fake = engine()
    searcher = tuned.searcher(llm=fake)
    answer = searcher.search(Query(image_id="test-car-red-b", text="paint it", weights={"pseudo_caption": 0}))
    assert fake.opened == 0 and answer.left_out == []


@pytest.mark.parametrize("fault", ["missing", "start", "answer"])
def test_a_model_that_cannot_answer_is_said(tuned: Tuned, fault: str) -> None:
    def opens() -> FakeEngine:
        raise UserError("the server is away", "Start it")

    fails = FakeEngine(lambda request: Result(request.key, error="no memory", external=True))
    llm: object = {"missing": True, "start": opens, "answer": fails}[fault]
    params = tuned.params
    if fault == "missing":
        params = params.model_copy(update={"llm": params.llm.model_copy(update={"model": "absent"})})
    answer = Searcher(tuned.index, params, tuned.paths, llm=llm).search(  # type: ignore[arg-type]
        Query(image_id="test-car-red-b", text=f"make the car white, {fault}")
    )
    said = {"missing": "absent", "start": "the server is away", "answer": "no memory"}[fault]
    assert len(answer.hits) == 10 and answer.pseudo_caption is None
    assert any(line.startswith("the pseudo caption: ") and said in line for line in answer.left_out)


def test_without_a_tuned_encoder_the_untuned_one_is_used_and_said(tuned: Tuned, tmp_path: Path) -> None:
    folder = tuned.paths.tuned("tiny")
    away = folder.rename(tmp_path / "away")
    try:
        answer = tuned.searcher().search(Query(image_id="test-car-red-a", text="make the car blue"))
    finally:
        away.rename(folder)
    assert "the tuned text encoder of tiny" in answer.left_out[0] and "missing" in answer.left_out[0]
    assert answer.weights["triplet"] == 0.4 and answer.weights["graph"] == -0.45 and len(answer.hits) == 10
