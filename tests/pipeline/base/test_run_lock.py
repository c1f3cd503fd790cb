"""Two runs at once: the second names the first and waits; a killed one holds nothing."""

import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base import storage
from pipeline.base.run_lock import run_locks

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging, sys, time
from pathlib import Path
from pipeline.base.run_lock import run_locks
logging.basicConfig(level=logging.WARNING, format="%(message)s")
folder, reads, writes, seconds = sys.argv[1:]
with run_locks(Path(folder), reads.split(), writes.split()):
    print("in", flush=True)
    time.sleep(float(seconds))
"""


def _start(folder: Path, reads: str, writes: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder), reads, writes, str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def _in(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None and process.stdout.readline() == "in\n"


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (("corpus", "embed"), ("corpus", "embed"), "embed"),  # the same stage twice
        (("corpus", "embed"), ("corpus embed", "tune/a"), "embed"),  # a reader while it is written
        (("corpus embed", "tune/a"), ("", "corpus"), "corpus"),  # a writer while it is read
    ],
)
@pytest.mark.parametrize("kill", [False, True])
def test_the_second_says_who_holds_it_and_waits(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str], name: str, kill: bool
) -> None:
    one = _start(tmp_path / "locks", *first, 60 if kill else 2)
    _in(one)
    other = _start(tmp_path / "locks", *second, 0)
    assert other.stderr is not None
    said = other.stderr.readline()
    assert (
        said.startswith(f"the output of {name} is in use by process {one.pid} (")
        and "Ctrl-C ends the wait" in said
    )
    assert one.poll() is None and other.poll() is None
    if kill:
        one.send_signal(signal.SIGKILL)
    _in(other)
    assert other.wait(10) == 0
    one.wait(10)


def test_readers_and_other_outputs_do_not_wait(tmp_path: Path) -> None:
    one = _start(tmp_path, "corpus embed", "tune/a", 60)
    _in(one)
    with run_locks(tmp_path, ["corpus", "embed"], ["tune/b"]):
        assert one.poll() is None
    one.kill()
    one.wait()


def test_a_wait_can_be_ended(tmp_path: Path) -> None:
    with run_locks(tmp_path, [], ["embed"]):
        other = _start(tmp_path, "", "embed", 0)
        assert other.stderr is not None and other.stderr.readline()
        other.send_signal(signal.SIGINT)
        assert other.wait(10) != 0


def test_without_locks_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(storage.fcntl, "flock", refuse)
    with run_locks(tmp_path, ["corpus"], ["embed"]):
        pass
    assert caplog.text.count("has no locks") == 1
