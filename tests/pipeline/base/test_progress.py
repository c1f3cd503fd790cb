"""Progress: lines where there is no terminal, a bar with rate and remaining time where there is one."""

import logging
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from pipeline.base import progress
from pipeline.base.progress import Progress

ROOT = Path(__file__).parents[3]


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> _Clock:
    caplog.set_level(logging.INFO, "pipeline.base.progress")
    clock = _Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    return clock


def test_a_line_every_half_minute_where_there_is_no_terminal(
    clock: _Clock, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(total=2000, title="embed", unit="image") as bar:
        for _ in range(100):  # one second each
            clock.now += 1
            bar.say("loss 0.5")
            bar.update(10)
    lines = [record.message for record in caplog.records]
    assert lines == [
        "embed: 300 of 2,000 images, 10 images/s, 02:50 left, loss 0.5",
        "embed: 600 of 2,000 images, 10 images/s, 02:20 left, loss 0.5",
        "embed: 900 of 2,000 images, 10 images/s, 01:50 left, loss 0.5",
    ]
    assert capsys.readouterr().err == ""


def test_slow_work_without_a_known_end(clock: _Clock, caplog: pytest.LogCaptureFixture) -> None:
    def slow() -> object:
        for number in range(3):
            clock.now += 40
            yield number

    assert list(Progress(slow(), title="read", unit="file")) == [0, 1, 2]  # type: ignore[arg-type]
    assert caplog.records[0].message == "read: 1 files, 40.0 s each"


def test_short_work_says_nothing(clock: _Clock, caplog: pytest.LogCaptureFixture) -> None:
    assert list(Progress(range(5), title="read", unit="file")) == [0, 1, 2, 3, 4]
    assert not caplog.records


def test_what_an_earlier_run_did_does_not_make_this_one_faster(
    clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with Progress(total=200, initial=100, title="tune", unit="example") as bar:
        clock.now += 50
        bar.update(50)
    assert caplog.records[0].message == "tune: 150 of 200 examples, 1.0 examples/s, 00:50 left"


def test_other_processes_of_a_run_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert Progress(range(2), title="tune", unit="example").disable
    monkeypatch.delenv("RANK")
    monkeypatch.setattr(progress.multiprocessing, "parent_process", lambda: object())
    assert Progress(range(2), title="tune", unit="example").disable


_WORK = """
import time
from pipeline.base import progress
progress.FIRST_S = 0.2
for _ in progress.Progress(range(12), title="embed", unit="image"):
    time.sleep(0.1)
"""


@pytest.mark.parametrize("columns", [0, 100])  # some terminals say that they have none
def test_a_bar_with_rate_and_remaining_time_on_a_terminal(columns: int) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "80", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", _WORK], env=environment, stderr=theirs, check=True, timeout=120)
    os.close(theirs)
    said = os.read(ours, 65536).decode()
    os.close(ours)
    assert "embed: 100%" in said and "12/12" in said and "image/s]" in said and "\r" in said
