# ruff: noqa: F401, F811 - fixtures are imported by their names
"""`lempo tune` on two processes of torchrun: whatever ends it, all end, and one of them says why."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from lempo.torchrun import speaks
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from tests.trainer.tiny import make_params, project, vlm_folder

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
END_S = 60  # with room for a busy machine
FAILING = """
import os
from lempo.cli import main
from pipeline.base.errors import UserError
from trainer.tuning.loop import Tuning

step = Tuning._step

def fails(tuning, batch):
    if os.environ["RANK"] == "1":
        {fault}
    return step(tuning, batch)

Tuning._step = fails
main()
"""
OTHER_FOLDER = """
import os
from lempo.cli import main

if os.environ["RANK"] == "1":
    os.chdir("other")
main()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(project: Paths, make_params: Callable[..., Params]) -> Iterator[Start]:
    """Starts torchrun in a project whose tuning does not end by itself."""
    params = make_params(tune={"epochs": 10**6, "patience": 10**6})
    (project.root / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    started = []

    def run(*command: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*TORCHRUN, *command],
            cwd=project.root,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(project.root)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        for left in [*_in(project.root), process]:
            left.kill()
        process.wait()


def _in(folder: Path) -> list[psutil.Process]:
    """The processes that work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def _tunes(process: "subprocess.Popen[str]") -> None:
    """Wait until both processes have made some steps together."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "epoch 2:" in line:
            return
    raise AssertionError("".join(said))


def _ended(process: "subprocess.Popen[str]", folder: Path) -> tuple[int, list[str]]:
    """Exit code and lines of a run that ends now, with all of its processes."""
    since = time.monotonic()
    assert process.stderr is not None
    lines = process.stderr.read().splitlines()  # to the end of the last one that could write
    code = process.wait()
    while (left := _in(folder)) and time.monotonic() - since < END_S:
        time.sleep(0.1)
    assert not left, [each.cmdline() for each in left]
    assert time.monotonic() - since < END_S
    return code, lines


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_torchrun_leaves_no_process(start: Start, project: Paths, number: signal.Signals) -> None:
    process = start("-m", "lempo.cli", "tune", "tiny")
    _tunes(process)
    assert len(_in(project.root)) > 2
    process.send_signal(number)
    code, lines = _ended(process, project.root)
    assert code == (-9 if number == signal.SIGKILL else 1)
    own = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert [line for line in lines if line == own] == [own]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_others(start: Start, project: Paths) -> None:
    process = start("-m", "lempo.cli", "tune", "tiny")
    _tunes(process)
    ranks = [each for each in psutil.Process(process.pid).children() if each.environ().get("RANK") == "1"]
    ranks[0].kill()
    code, lines = _ended(process, project.root)
    assert code == 1
    own = [line for line in lines if line.startswith("error:") or line == "ended by SIGTERM"]
    assert len(own) == 1 and ("another process of this tuning has ended" in own[0] or "SIGTERM" in own[0])
    assert any("exitcode  : -9" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("raise UserError('a fault', 'Mend it')", "a fault. Mend it"),
        ("raise MemoryError", "memory"),
        ("raise ZeroDivisionError('a fault')", "a fault"),
    ],
)
def test_a_fault_of_one_ends_all_with_its_words(start: Start, project: Paths, fault: str, said: str) -> None:
    (project.root / "failing.py").write_text(FAILING.format(fault=fault))
    code, lines = _ended(start("failing.py", "tune", "tiny"), project.root)
    assert code == 1
    own = [line for line in lines if re.match(r"error: |ended by|(\[rank\d\]: )?ZeroDivisionError", line)]
    assert len(own) == 1 and said in own[0], "\n".join(lines)
    listed = [line for line in lines if line.startswith("  traceback : ")]  # torchrun's list, the cause last
    assert said in listed[-1]


@pytest.mark.slow
def test_a_fault_of_all_is_said_once(start: Start, project: Paths) -> None:
    paths = Paths(project.root)
    paths.pseudo_captions("tiny").unlink()
    code, lines = _ended(start("-m", "lempo.cli", "tune", "tiny"), project.root)
    assert code == 1
    assert sum(line.startswith("error: ") for line in lines) == 1
    assert not any(line.startswith("ended by") for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["parameters", "checkpoint"])
def test_machines_that_share_no_folder_are_refused(start: Start, project: Paths, what: str) -> None:
    """Each would train on its own inputs, or go on from another epoch."""
    (project.root / "start.py").write_text(OTHER_FOLDER)
    shutil.copytree(project.root, project.root / "other")
    if what == "parameters":
        file = project.root / "other/params.yaml"
        values = yaml.safe_load(file.read_text())
        values["tune"]["learning_rate"] /= 2
        file.write_text(yaml.safe_dump(values))
    else:
        first = start("-m", "lempo.cli", "tune", "tiny")
        _tunes(first)
        first.send_signal(signal.SIGTERM)
        _ended(first, project.root)
    code, lines = _ended(start("start.py", "tune", "tiny"), project.root)
    assert code == 1
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1 and "have other inputs, or other checkpoints" in errors[0]


def test_alone_a_process_always_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    assert speaks("a fault") and speaks("a fault")


def test_of_two_processes_the_first_speaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for rank, first in (("1", True), ("0", False)):
        (tmp_path / rank).mkdir()
        monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / rank / "error.json"))
        assert speaks("a fault") is first
        assert (tmp_path / rank / "error.json").exists() is first
    (tmp_path / "2").mkdir()
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "gone" / "2" / "error.json"))
    assert speaks("a fault"), "where it cannot be known, twice is better than never"
