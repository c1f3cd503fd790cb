"""Commands run at the same time; one that fails, or a signal, stops the others."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.side_by_side import run

ROOT = Path(__file__).parents[2]


def test_lines_carry_the_names_of_commands_that_run_at_the_same_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    meet = "touch {0}; while ! test -e {1}; do sleep 0.01; done; echo met && echo twice"
    one, two = tmp_path / "one", tmp_path / "two"
    assert run({"a": meet.format(one, two), "b": meet.format(two, one)}) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == ["a: met", "a: twice", "b: met", "b: twice"]


def test_a_failure_stops_the_others_and_is_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    assert run({"slow": "sleep 60; echo done", "bad": "echo no >&2; exit 3"}) == 3
    assert time.monotonic() - started < 20
    told = capfd.readouterr()
    assert told.out == "bad: no\n" and told.err == "bad: ended with status 3\n"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_what_the_commands_started(tmp_path: Path, sent: signal.Signals) -> None:
    script = tmp_path / "waits.py"
    script.write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n")
    waits = f"a={sys.executable} {script}; touch {tmp_path}/end"
    command = [sys.executable, "-m", "models.side_by_side", waits]
    launcher = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert launcher.stdout is not None and launcher.stdout.readline() == "a: up\n"
    started = time.monotonic()
    launcher.send_signal(sent)
    assert launcher.wait(30) != 0
    assert launcher.stdout.read() == "" and time.monotonic() - started < 20
    assert not (tmp_path / "end").exists()
