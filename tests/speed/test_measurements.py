"""Every measurement runs at its smallest size and gives figures; `captions`, which needs vLLM, apart."""

import math
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from pipeline.base.errors import UserError
from speed.figures import Figure, Run
from speed.neighbours import busy
from speed.project import empty, lempo, part
from speed.registry import measure
from tests.finished import finish
from trainer.retrieval.gallery import Gallery

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny project, all of whose stages have run."""
    project = finish(tmp_path_factory.mktemp("speed") / "project")
    values = project.params.model_dump(mode="json")
    (project.paths.root / "params.yaml").write_text(yaml.safe_dump(values))
    return project.paths.root


@pytest.mark.parametrize(
    "module",
    [
        "embedding",
        "tuning",
        "ranking",
        "pairs",
        pytest.param("checking", marks=pytest.mark.slow),
        pytest.param("full_cache", marks=pytest.mark.slow),
        pytest.param("cached", marks=pytest.mark.slow),
        pytest.param("search", marks=pytest.mark.slow),
    ],
)
def test_a_measurement_gives_its_figures(finished: Path, module: str) -> None:
    figures = measure(module, quick=True, root=finished)
    for name, figure in figures.items():
        assert_sound(name, figure)


def assert_sound(name: str, figure: Figure) -> None:
    assert math.isfinite(figure.value) and figure.value >= 0, name
    assert figure.value > 0 or figure.unit == "MB", name  # few rows fit into what a process has anyway
    assert figure.low is None or figure.low <= figure.value <= (figure.high or 0), name
    assert figure.unit and len(figure.against) > 20, name


@pytest.mark.slow
def test_start_is_measured_where_nothing_is_to_do_and_refused_elsewhere(tmp_path: Path) -> None:
    stage = {"stages": {"one": {"cmd": "echo 1 > out", "outs": ["out"]}}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(stage))
    for arguments in (("init", "--no-scm", "-q"), ("repro", "-q")):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, check=True)
    for name, figure in measure("start", quick=True, root=tmp_path).items():
        assert_sound(name, figure)
    stage["stages"]["one"]["cmd"] = "echo 2 > out"
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(stage))
    with pytest.raises(UserError, match="not up to date"):
        measure("start", quick=True, root=tmp_path)
    assert (tmp_path / "out").read_text() == "1\n"


def test_what_was_not_made_is_one_line(tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished, tmp_path / "project", ignore=shutil.ignore_patterns("data", ".lempo"))
    with pytest.raises(UserError, match="the table is missing"):
        measure("embedding", quick=True, root=tmp_path / "project")


def test_the_tuning_that_is_measured_changes_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from speed import tuning

    seen = []
    real = tuning.prepared

    def prepared(*arguments: object) -> object:
        made = real(*arguments)  # type: ignore[arg-type]
        seen.append((made, {name: value.detach().clone() for name, value in made.state.items()}))
        return made

    monkeypatch.setattr(tuning, "prepared", prepared)
    measure("tuning", quick=True, root=finished)
    assert len(seen) == 2, "in float32, and with products of bfloat16"
    for made, before in seen:
        assert before and all(torch.equal(before[name], value) for name, value in made.state.items())


def test_the_bare_tower_gets_the_tokens_of_the_step(finished: Path, tmp_path: Path) -> None:
    from pipeline.base.params import load_params
    from pipeline.vision.vlm import load_vlm
    from speed.tuning import _token_batches, prepared, some_batches, train_split

    params = load_params(finished / "params.yaml")
    vlm = load_vlm(params.vlm, "cpu", finished)
    vlm.model.float()
    split = train_split(params, Run(tmp_path, finished), vlm)
    assert isinstance(split.stored, Gallery)
    tuning = prepared(params, params.tune, vlm, split)
    (batch, *_) = some_batches(tuning, 1)
    cut = _token_batches(tuning, batch)
    assert sum(map(len, cut)) == len(tuning.rows[:, batch].unique())
    assert max(tokens.shape[1] for tokens in cut) < vlm.context_length


def test_a_part_of_a_project_holds_some_queries_and_its_stages_run(finished: Path, tmp_path: Path) -> None:
    from pipeline.base.schemas import PAIRS
    from pipeline.base.tables import read_table
    from stages import embed

    params, paths = part(Run(tmp_path, finished), 1, tune={"epochs": 1})
    assert len(params.datasets) == 1
    rows = read_table(paths.pairs(params.datasets[0]), PAIRS).to_pylist()
    assert sorted(row["split"] for row in rows) == ["test", "train", "val"]
    embed.run(params, paths)
    assert (paths.features(params.datasets[0]) / "manifest.json").is_file()
    empty(paths)
    assert not paths.features(params.datasets[0]).exists() and not (tmp_path / ".lempo").exists()
    assert (finished / "data/features").is_dir()


def test_a_command_that_fails_ends_the_measurement_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        lempo(tmp_path, "embed")
    assert "params.yaml" in capsys.readouterr().out


def test_busy_processes_compute_and_end() -> None:
    import psutil

    with busy(2):
        children = [child for child in psutil.Process().children() if "getppid" in " ".join(child.cmdline())]
        assert len(children) == 2
        deadline = time.monotonic() + 60
        while any(child.cpu_times().user < 0.02 for child in children):
            assert time.monotonic() < deadline, "they do not compute"
            time.sleep(0.05)
    assert not any(child.is_running() for child in children)
    starter = (
        "from speed.neighbours import busy; held = busy(1); held.__enter__(); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", starter], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        (child,) = psutil.Process(process.pid).children()
        process.kill()
    assert not psutil.wait_procs([child], timeout=60)[1], "it outlives who started it"
