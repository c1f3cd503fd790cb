"""Turns, medians and spreads, and the file that keeps the figures."""

import json
from pathlib import Path

import pytest

from speed.figures import Figure, Run, in_turns, ratio, read_results, record, seconds, spread


def test_every_side_runs_once_a_turn_and_another_one_begins_each_time() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    found = in_turns({name: lambda name=name: side(name) for name in "abc"}, 4)  # type: ignore[misc]
    assert "".join(order) == "abcbcacababc"
    assert found == {"a": [1.0, 6.0, 8.0, 10.0], "b": [2.0, 4.0, 9.0, 11.0], "c": [3.0, 5.0, 7.0, 12.0]}


def test_a_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians() -> None:
    figure = ratio([1.0, 10.0, 30.0], [1.0, 20.0, 10.0], "ratio of seconds", "another")
    assert figure == Figure(1.0, "ratio of seconds", "another", 0.5, 3.0)


def test_values_without_their_turns_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0], "", "")


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    assert spread([5.0, 1.0, 2.0, 100.0], "seconds", "a limit") == Figure(
        3.5, "seconds", "a limit", 1.0, 100.0
    )


def test_seconds_are_those_of_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.5])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert seconds(lambda: None) == 2.5


def test_quick_is_small(tmp_path: Path) -> None:
    assert (Run(tmp_path).size(900, 3), Run(tmp_path, quick=True).size(900, 3)) == (900, 3)
    assert Run(tmp_path).turns >= 5 > Run(tmp_path, quick=True).turns == 1


def test_a_record_keeps_the_figures_of_other_measurements(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    old = {"value": 1.0, "unit": "share", "against": "all", "command": "python -m speed x"}
    file.write_text(
        json.dumps({name: {**old, "low": None, "high": None} for name in ("mine", "gone", "other")})
    )
    record({"mine": Figure(2.00000049, "seconds", "a limit", 1.5, 2.5)}, ["mine", "gone", "never"], file)
    assert read_results(file) == {
        "other": {**old, "low": None, "high": None},
        "mine": {
            "value": 2.0, "unit": "seconds", "against": "a limit", "command": "python -m speed mine",
            "low": 1.5, "high": 2.5,
        },
    }  # fmt: skip
    before = file.read_bytes()
    record({"mine": Figure(2.0, "seconds", "a limit", 1.5, 2.5)}, ["mine"], file)
    assert file.read_bytes() == before
