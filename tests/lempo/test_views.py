"""`lempo captions` and `lempo cache` over the texts of a few rows."""

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from lempo.cache import show_cache
from lempo.caption_records import printed, record
from lempo.captions import Choice, show_captions
from lempo.cli import app
from pipeline.base.errors import UserError
from pipeline.base.paths import Paths
from pipeline.llm.types import Request, Result
from tests.language_toy import Toy, answered

Show = Callable[..., str]


@pytest.fixture
def show(toy: Toy, capsys: pytest.CaptureFixture[str]) -> Show:
    """Runs `lempo captions` and gives what it prints."""

    def shown(dataset: str | None, stage: str, **choice: object) -> str:
        capsys.readouterr()
        as_json = bool(choice.pop("as_json", False))
        show_captions(toy.params, toy.paths, dataset, stage, Choice(**choice), as_json)  # type: ignore[arg-type]
        return capsys.readouterr().out

    return shown


def _pink(toy: Toy) -> Callable[[Request], Result]:
    """Answers that call one blue car pink."""
    return lambda request: answered(
        request, toy.texts[request.messages[-1]["content"]].replace("blue", "pink")
    )


def test_captions_are_shown_worst_first(toy: Toy, show: Show) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(_pink(toy))
    shown = show("toy", "interpret", worst=True, limit=2)
    assert shown.startswith("toy toy-0001") and "- one blue car at the left" in shown
    assert "missed:   blue car" in shown and "invented: pink car" in shown and "2 of 8 rows" in shown
    assert "\ntoy: all right: 87.5% at first, 87.5% after repair, 87.5% in the table\n" in shown
    toy.run(stage="caption")
    shown = show(None, "caption", limit=3)
    assert "Modification: add a pond at the bottom" in shown and "3 of 16 rows" in shown
    assert show(None, "caption").count("Modification:") == 16


def test_what_a_rule_wrote_does_not_hide_the_model_s_faults(toy: Toy, show: Show) -> None:
    toy.with_params(llm__repairs=0, llm__fallback="rules")
    toy.run(_pink(toy))
    shown = show(None, "interpret", worst=True, limit=1)
    assert "free free-0001 · rules, ok" in shown
    assert "in the place of the model's text:" in shown and "    invented: pink car" in shown


def test_captions_of_an_image_of_a_query_and_those_that_failed(toy: Toy, show: Show) -> None:
    toy.run(toy.failing("blue"))
    toy.run(stage="caption")
    shown = show("toy", "caption", image="toy-0001")
    assert [line for line in shown.splitlines() if line.startswith("toy toy-q")] == [
        "toy toy-q0000 · first, ok, 11 of 11 facts", "toy toy-q0001 · first, ok, 11 of 11 facts",
    ]  # fmt: skip
    assert "toy toy-q0003" in show(None, "caption", query="toy-q0003", limit=1)
    assert "toy toy-0003" in show(None, "interpret", image="toy-0003")
    shown = show(None, "interpret", failed=True)
    assert "toy toy-0001 · first, failed" in shown and "2 of 16 rows" in shown and "  ! " in shown
    for choice, words in (
        ({"query": "toy-q0003"}, "interpretations are of images"),
        ({"image": "toy-q0003"}, "--image.*no text is of it.*toy-q0003.*data/corpus"),
    ):
        with pytest.raises(UserError, match=words):
            show(None, "interpret", **choice)


def test_the_texts_of_another_folder_stand_beside_those_of_this_one(
    toy: Toy, show: Show, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(_pink(toy))
    other = tmp_path / "o"
    shutil.copytree(toy.paths.root, other, ignore=shutil.ignore_patterns("o"))
    shutil.rmtree(toy.paths.cache)
    toy.run()
    monkeypatch.setenv("COLUMNS", "100")
    shown = show("toy", "interpret", against=str(other), worst=True)
    assert shown.count("toy toy-") == 1 and "toy toy-0001" in shown
    lines = shown.splitlines()
    here, there = next(line for line in lines if line.startswith("  > ")).split("│")
    assert "blue" in here and "pink" in there and max(map(len, lines[:-3])) <= 100
    assert any(line.strip() == "│     invented: pink car" for line in lines)
    assert "1 of 1 texts that differ (1 better here, 0 worse); rows: 8" in shown
    assert f"\ntoy, {other}: all right: 87.5% at first" in shown
    Paths(other).interpretations("toy").unlink()
    with pytest.raises(UserError, match="that run has no captions of toy"):
        show("toy", "interpret", against=str(other))
    with pytest.raises(UserError, match="--against"):
        show("toy", "interpret", against="HEAD")


def test_the_same_rows_as_json(toy: Toy, show: Show, tmp_path: Path) -> None:
    def found(dataset: str | None, stage: str, **choice: object) -> Any:
        return json.loads(show(dataset, stage, as_json=True, **choice))

    toy.with_params(llm__repairs=0)
    toy.run(_pink(toy))
    toy.run(stage="caption")
    first = found("toy", "interpret", worst=True, limit=2)
    assert (first["stage"], first["against"], first["rows"], first["found"]) == ("interpret", None, 8, 8)
    assert first["all_right"] == {"toy": {"first": 0.875, "model": 0.875, "final": 0.875}}
    worst, second = first["texts"]
    assert (worst["dataset"], worst["image_id"], worst["status"]) == ("toy", "toy-0001", "ok")
    assert "pink" in worst["text"] and "pink car" in worst["invented"] and "blue car" in worst["missed"]
    assert worst["graph"].splitlines()[0].startswith("scene: ") and worst["facts"] > len(worst["missed"])
    assert second["missed"] == [] and "other" not in second and "id" not in second
    (query,) = found(None, "caption", query="toy-q0003")["texts"]
    assert query["query_id"] == "toy-q0003" and {"reference_id", "target_id"} <= query.keys()
    assert query["modification"] in show(None, "caption", query="toy-q0003") and "image_id" not in query
    assert found(None, "caption", failed=True)["texts"] == []
    other = tmp_path / "o"
    shutil.copytree(toy.paths.root, other, ignore=shutil.ignore_patterns("o"))
    shutil.rmtree(toy.paths.cache)
    toy.run(toy.failing("green"))
    both = found("toy", "interpret", against=str(other), worst=True)
    assert (both["rows"], both["found"], both["better"], both["worse"]) == (8, 2, 1, 1)
    assert both["other_all_right"] == first["all_right"] and both["all_right"].keys() == {"toy"}
    failed, mended = both["texts"]
    assert (failed["change"], failed["text"], failed["status"]) == ("worse", None, "failed")
    assert failed["error"] and failed["other"]["status"] == "ok" and "green" in failed["other"]["text"]
    assert mended["change"] == "better" and "pink" in mended["other"]["text"]
    assert sorted(mended["other"]) == ["error", "invented", "missed", "status", "text"]
    assert "blue" in mended["text"] and "text_other" not in mended


def test_a_row_that_the_other_run_lacks_and_letters_that_a_terminal_obeys_as_json() -> None:
    row = {"text": "a\x9b\nb\N{SNOWMAN}", "worse": 0, "id": "q"}
    nothing = dict.fromkeys(("text", "status", "error", "missed", "invented"))
    said = "".join(printed({"rows": 1}, [record(row, ["text"], None, nothing)]))
    assert "\x9b" not in said and "\N{SNOWMAN}" in said
    assert json.loads(said) == {
        "rows": 1, "texts": [{"text": row["text"], "graph": None, "change": "neither", "other": None}],
    }  # fmt: skip


@pytest.mark.parametrize(
    "choice",
    [
        {"stage": "caption", "as_json": True, "limit": 2},
        {"stage": "caption", "image": "toy-0001"},
        {"stage": "caption", "query": "toy-q0002"},
        {"stage": "interpret", "failed": True},
        {"stage": "interpret", "worst": True, "limit": 3},
        {"stage": "interpret", "against": "."},
    ],
    ids=lambda choice: " ".join(choice),
)
def test_the_command_shows_what_its_options_say(
    toy: Toy, show: Show, choice: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.run(toy.failing("blue"))
    toy.run(stage="caption")
    monkeypatch.chdir(toy.paths.root)
    Path("params.yaml").write_text(yaml.safe_dump(toy.params.model_dump(mode="json")))
    names = {name: name.removeprefix("as_") for name in choice}
    options = [f"--{names[name]}" if value is True else f"--{name}={value}" for name, value in choice.items()]
    done = CliRunner().invoke(app, ["captions", "toy", *options])
    assert done.exit_code == 0 and done.output == show("toy", **choice)


@pytest.mark.slow
def test_the_texts_of_a_revision_come_from_the_cache_of_dvc(toy: Toy, show: Show) -> None:
    root = toy.paths.root
    toy.with_params(llm__repairs=0)
    toy.run(_pink(toy))
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        [sys.executable, "-m", "dvc", "add", "-q", "data/interpretations"],
        ["git", "add", "."],
        ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "pink"],
    ):
        subprocess.run(command, cwd=root, check=True)
    shutil.rmtree(toy.paths.root / ".lempo")
    toy.run()
    shown = show(None, "interpret", against="HEAD")
    assert (
        "1 of 1 texts" not in shown and "2 of 2 texts that differ (2 better here, 0 worse); rows: 16" in shown
    )
    with pytest.raises(UserError, match="no such folder and no such revision"):
        show("toy", "interpret", against="nonsense")
    shutil.rmtree(root / ".dvc/cache")
    with pytest.raises(UserError, match="DVC's cache does not hold"):
        show(None, "interpret", against="HEAD")


@pytest.mark.parametrize(
    ("pager", "first", "last"), [("cat", "line 0", "line 99999"), ("head -n 2", "line 0", "line 1")]
)
def test_long_output_comes_in_pages_on_a_terminal(pager: str, first: str, last: str) -> None:
    code = "from lempo.pager import show; show(f'line {i}\\n' for i in range(100_000))"
    terminal, end = pty.openpty()
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=end, stderr=end, env=os.environ | {"PAGER": pager}) as process:
        os.close(end)
        said = b""
        with suppress(OSError):  # nobody writes to the terminal any more
            while part := os.read(terminal, 65_536):
                said += part
    os.close(terminal)
    lines = said.decode().split("\r\n")
    assert process.returncode == 0 and (lines[0], lines[-2]) == (first, last)
    plain = subprocess.run(command, env=os.environ | {"PAGER": "false"}, capture_output=True, check=True)
    assert plain.stdout.decode().splitlines()[-1] == "line 99999"


def test_captions_before_any_run_say_what_to_do(toy: Toy, show: Show) -> None:
    for dataset in (None, "toy"):
        with pytest.raises(UserError, match="dvc repro"):
            show(dataset, "caption", limit=3)


def test_the_cache_is_shown_and_pruned_of_what_no_table_uses(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no caption table"):
        show_cache(toy.params, toy.paths, prune=True)
    show_cache(toy.params, toy.paths, prune=False)
    assert capsys.readouterr().out.endswith("llm: no text is cached yet\n")
    toy.run(toy.failing("blue"))
    toy.write("toy", 8, recolour=3)
    toy.run()
    show_cache(toy.params, toy.paths, prune=False)
    shown = capsys.readouterr().out
    assert "models/llm, prompts/interpret.txt: 15 texts" in shown and "B, parts: " in shown
    show_cache(toy.params, toy.paths, prune=True)
    assert "removed 1 entries" in capsys.readouterr().out
    assert toy.run().opened == 0
