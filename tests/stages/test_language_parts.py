"""Parts of a language stage's table that were written before: taken as they are, else made again."""

import random
from pathlib import Path

import pytest

from pipeline.base import kept_parts
from pipeline.faithfulness.check import Checker
from pipeline.llm.types import Request, Result
from tests.language_toy import Toy, answered


@pytest.fixture
def toy(tmp_path: Path, word_tokenizer: None, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Forty rows in each dataset, in parts of four or so."""
    monkeypatch.setattr(kept_parts, "PART_ROWS", 4)
    monkeypatch.setattr(kept_parts, "MOST_ROWS", 16)
    return Toy(tmp_path, rows=40)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is checked."""
    texts: list[str] = []
    check = Checker.check

    def noted(self: Checker, text: str, graph: object) -> object:
        texts.append(text)
        return check(self, text, graph)  # type: ignore[arg-type]

    monkeypatch.setattr(Checker, "check", noted)
    return texts


def test_what_is_as_before_is_neither_asked_nor_checked_again(toy: Toy, checked: list[str]) -> None:
    toy.run()
    tables, metrics = toy.tables(), toy.paths.metrics("interpret").read_bytes()
    assert checked
    checked.clear()
    assert toy.run().opened == 0 and not checked
    assert toy.tables() == tables and toy.paths.metrics("interpret").read_bytes() == metrics


def test_one_graph_changed_costs_its_part_alone(toy: Toy, checked: list[str]) -> None:
    toy.write("toy", 40, recolour=3)  # the words are those of the second run
    toy.write("toy", 40, recolour=20)
    toy.run()
    checked.clear()
    toy.write("toy", 40, recolour=21)
    assert len(toy.run().asked) == 1
    assert 0 < len(checked) <= 16
    once, metrics = toy.tables(), toy.paths.metrics("interpret").read_bytes()
    for file in (toy.paths.cache / "llm/written").iterdir():
        file.unlink()
    assert toy.run().opened == 0
    assert toy.tables() == once and toy.paths.metrics("interpret").read_bytes() == metrics


def test_a_part_with_a_row_that_failed_or_was_cut_is_made_again(toy: Toy, checked: list[str]) -> None:
    def answer(request: Request) -> Result:
        text = toy.right(request)
        return (
            answered(request, f"{text.text} {'again ' * 300}") if "orange" in str(request.messages) else text
        )

    toy.with_params(llm__repairs=0)
    toy.run(answer)
    checked.clear()
    assert toy.run(answer).opened == 0 and checked
    cut_rows = [row for row in toy.rows() if row["finish_reason"] == "length"]
    assert cut_rows and toy.metrics()["toy"]["final"]["truncated"] == len(cut_rows)


@pytest.mark.parametrize("change", [{"llm__repairs": 0}, {"interpret__max_tokens": 70}, {"seed": 1}])
def test_other_settings_make_all_parts_again(toy: Toy, checked: list[str], change: dict[str, int]) -> None:
    toy.run()
    checked.clear()
    toy.with_params(**change)
    toy.run()
    assert len(set(checked)) >= 20


def test_a_damaged_part_is_set_aside_and_made_again(toy: Toy, checked: list[str]) -> None:
    toy.run()
    tables, metrics = toy.tables(), toy.paths.metrics("interpret").read_bytes()
    files = sorted((toy.paths.cache / "llm/written").glob("*.parquet"))
    random.seed(0)
    for file in files[:3]:
        data = bytearray(file.read_bytes())
        data[random.randrange(len(data))] ^= 0xFF
        file.write_bytes(data)
    files[3].write_bytes(files[4].read_bytes())  # of other rows
    files[5].unlink()
    files[5].mkdir()
    files[6].unlink()
    files[6].symlink_to(files[6].name)
    checked.clear()
    assert toy.run().opened == 0 and checked
    assert toy.tables() == tables and toy.paths.metrics("interpret").read_bytes() == metrics
