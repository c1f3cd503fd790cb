"""`python -m speed`: which measurements run, and what is written."""

import ast
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from speed import __main__ as command
from speed import figures, registry
from speed.figures import Figure
from speed.registry import MEASUREMENTS, expected, measure, module_of

ROOM = Path(registry.__file__).parent


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The command in a folder of its own; a measurement gives 1.0 for each of its figures, `pairs` fails."""
    calls: list[tuple[str, bool]] = []
    results, pages = tmp_path / "results.json", tmp_path / "pages.json"
    results.write_text(json.dumps({"help_seconds": {"value": 9.0}, "tune_vs_bare_text": {"value": 9.0}}))

    def measured(module: str, quick: bool) -> dict[str, Figure] | None:
        calls.append((module, quick))
        given = {
            name: Figure(1.0, "seconds", "") for name in MEASUREMENTS[module] if name != "rank_vs_faiss_flat"
        }
        return None if module == "pairs" else given

    monkeypatch.setattr(command, "measure_apart", measured)
    monkeypatch.setattr(command, "read_results", lambda: figures.read_results(results))
    monkeypatch.setattr(command, "record", lambda new, names: figures.record(new, names, results))
    monkeypatch.setattr(command, "write", lambda new: pages.write_text(json.dumps(new)))
    for name in (*command.ENVIRONMENT, "OMP_WAIT_POLICY", "LEMPO_CACHE"):
        monkeypatch.setenv(name, "before")
    app = typer.Typer()
    app.command()(command.main)

    def run(*arguments: str) -> SimpleNamespace:
        calls.clear()
        done = CliRunner().invoke(app, arguments)
        return SimpleNamespace(
            code=done.exit_code, said=done.output, calls=list(calls), results=figures.read_results(results),
            page=json.loads(pages.read_text()) if pages.exists() else None,
        )  # fmt: skip

    return run


def test_a_name_runs_the_measurement_that_gives_it_and_keeps_the_figures_of_others(ran: Any) -> None:
    done = ran("noop_repro_seconds")
    assert (done.code, done.calls) == (0, [("start", False)])
    assert {name: of["value"] for name, of in done.results.items()} == {
        "help_seconds": 1.0, "noop_repro_seconds": 1.0, "tune_vs_bare_text": 9.0,
    }  # fmt: skip
    assert done.page == done.results


def test_quick_writes_nothing(ran: Any) -> None:
    before = ran("--render").results
    done = ran("--quick", "help_seconds", "tune_vs_bare_text")
    assert (done.code, done.calls) == (0, [("start", True), ("tuning", True)])
    assert done.results == before


def test_render_measures_nothing(ran: Any) -> None:
    done = ran("--render")
    assert (done.code, done.calls, done.page) == (0, [], done.results)


def test_everything_runs_although_one_measurement_fails_and_the_code_says_so(ran: Any) -> None:
    done = ran()
    assert [module for module, _ in done.calls] == list(MEASUREMENTS)
    assert done.code == 1 and done.said.endswith("failed: pairs\n")
    assert {"caption_vs_vllm_bench", "search_100k_ms"} <= done.results.keys()


def test_a_name_that_no_measurement_gives_is_refused(ran: Any) -> None:
    done = ran("help_second")
    assert (done.code, done.calls) == (2, [])
    assert "help_second" in done.said and "crowded_vs_fair" in done.said


def test_what_a_person_has_set_stays_and_the_cache_of_others_is_not_emptied(ran: Any) -> None:
    ran("--quick", "help_seconds")
    assert os.environ["OMP_WAIT_POLICY"] == "before" and "LEMPO_CACHE" not in os.environ


@pytest.mark.parametrize("module", MEASUREMENTS)
def test_every_module_of_the_registry_has_its_function(module: str) -> None:
    body = ast.parse((ROOM / f"{module}.py").read_text()).body
    assert [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name == "measure"]


def test_every_module_with_that_function_is_in_the_registry() -> None:
    found = {file.stem for file in ROOM.glob("*.py") if "\ndef measure(run: Run)" in file.read_text()}
    assert found == set(MEASUREMENTS)


def test_a_figure_has_one_module() -> None:
    names = [name for figures in MEASUREMENTS.values() for name in figures]
    assert len(set(names)) == len(names) and {module_of(name) for name in names} == set(MEASUREMENTS)


def test_figures_that_the_registry_does_not_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"help_seconds": Figure(1.0, "seconds", "")}
    monkeypatch.setattr(registry, "import_module", lambda name: SimpleNamespace(measure=lambda run: given))
    with pytest.raises(ValueError, match="no such figures"):
        measure("start")
    given["noop_repro_seconds"] = Figure(1.0, "seconds", "")
    assert measure("start") == given


def test_a_peer_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    assert expected("ranking") == ("rank_vs_matmul_topk",)
    monkeypatch.setattr(registry, "find_spec", lambda name: name == "faiss")
    assert expected("ranking") == ("rank_vs_matmul_topk", "rank_vs_faiss_flat")
