"""A program of tests/warm.py does what the real one does: output, errors, exit codes, signals."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "words",
    [["lempo", "--version"], ["lempo", "corpus"], ["lempo", "corpse"], ["dvc", "status"]],
    ids=" ".join,
)
def test_a_fork_says_and_returns_what_the_program_does(
    words: list[str], programs: Path, tmp_path: Path
) -> None:
    found = []
    for place in (programs, Path(sys.executable).parent):
        environment = os.environ | {"PATH": f"{place}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)
        found.append((done.returncode, done.stdout, done.stderr))
    assert found[0] == found[1]


def test_a_signal_ends_a_fork_as_it_ends_the_program(programs: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / ".lempo/locks").mkdir(parents=True)
    with open(tmp_path / ".lempo/locks/corpus.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with subprocess.Popen(
                [str(programs / "lempo"), "corpus"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
            ) as process:
                assert process.stderr is not None
                assert "in use by" in process.stderr.readline()
                process.send_signal(number)
                assert process.wait(30) == code
