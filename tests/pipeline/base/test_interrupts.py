"""Signals: one line, the shell's exit code, seconds; workers never hear Ctrl-C."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pipeline.base.interrupts import Interrupted, children_without_sigint

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, signal, sys, time
from pipeline.base import interrupts
interrupts.GRACE_S, interrupts._SAME_S = 1.5, 0.2
interrupts.end_by_signals()
try:
    print("ready", flush=True)
    {body}
except interrupts.Interrupted as error:
    print(error, interrupts.received(), flush=True)
    os._exit(error.code)
"""
SWALLOWS = """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
"""


def _hear_all() -> None:
    """Tests that run under `nohup`, or in the background of a shell, have some signals ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _start(body: str, *before: str, folder: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM.format(body=body), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        preexec_fn=_hear_all,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(0.2)  # until it is in the body
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_raises_one_exception_and_a_second_soon_after_is_the_same(number: signal.Signals) -> None:
    process = _start("time.sleep(60)")
    process.send_signal(number)
    process.send_signal(number)
    said, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + number and not errors
    assert said in (f"interrupted {number}\n", f"ended by {number.name} {number}\n")


HELD = """
    time.sleep(1)  # what is printed now is no part of the first read
    with interrupts.held():
        os.kill(os.getpid(), signal.SIGTERM)
        print("done", flush=True)
    print("too late", flush=True)
"""
FOLDERS = """
    from pathlib import Path
    from pipeline.base.storage import temporary_folder
    while True:
        with temporary_folder(Path(sys.argv[1]) / "table"):
            pass
"""


def test_a_signal_waits_while_it_is_held_and_is_raised_then() -> None:
    process = _start(HELD)
    assert process.communicate(timeout=10) == ("done\nended by SIGTERM 15\n", "")
    assert process.returncode == 143


def test_no_moment_of_a_signal_leaves_a_temporary_folder(tmp_path: Path) -> None:
    for _ in range(5):
        process = _start(FOLDERS, folder=tmp_path)
        process.terminate()
        assert process.wait(timeout=10) == 143
        assert list(tmp_path.iterdir()) == []


@pytest.mark.alone
def test_what_swallows_everything_is_ended_by_force() -> None:
    process, since = _start(SWALLOWS), time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 143 and errors == "ended by SIGTERM; ended by force\n"
    assert 1 < time.monotonic() - since < 5


LOST = """
    class Slow:
        def __del__(self):
            time.sleep(1)
    Slow()
    time.sleep(60)
"""


def test_it_is_not_lost_in_a_destructor() -> None:
    process = _start(LOST)
    process.send_signal(signal.SIGTERM)
    said, errors = process.communicate(timeout=10)
    assert process.returncode == 143 and not errors and said.startswith("ended by SIGTERM")


def test_after_the_end_of_the_work_a_signal_raises_nothing() -> None:
    process = _start("interrupts.raise_no_more(); time.sleep(0.6); os._exit(0)")
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=10)
    assert (process.returncode, said, errors) == (0, "", "")


@pytest.mark.alone
def test_a_second_signal_ends_at_once() -> None:
    process, since = _start(SWALLOWS), time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130 and time.monotonic() - since < 1.3


def test_what_is_ignored_stays_so() -> None:
    process = _start("time.sleep(0.5)", "nohup")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_a_forked_process_is_not_ended_by_the_signals_of_its_parent() -> None:
    process = _start(
        "pid = os.fork() or time.sleep(60)\n    os.kill(pid, signal.SIGTERM)\n"
        "    print(os.wait()[1], flush=True)\n    time.sleep(2)"
    )
    said, _ = process.communicate(timeout=10)
    assert process.returncode == 0 and said == f"{signal.SIGTERM}\n"


def test_it_ends_with_the_dvc_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "stage.py"
    script.write_text(PROGRAM.format(body="time.sleep(60)"))
    # stands for DVC: it gives its command the variable, by way of a shell, and is killed
    dvc = subprocess.Popen(
        [
            sys.executable, "-c",
            "import os, subprocess, sys\n"
            "environment = os.environ | {'DVC_STAGE': 'x'}\n"
            f"subprocess.run('{sys.executable} {script}; true', shell=True, env=environment)",
        ],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert dvc.stdout is not None and dvc.stdout.readline() == "ready\n"
    dvc.kill()
    assert dvc.stdout.read() == f"ended by SIGTERM {signal.SIGTERM}\n"  # until the stage has ended


def _report(pipe: Connection, depth: int) -> None:
    """Whether this process, and one that it starts, outlive SIGINT though they handle it, as vLLM's do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)
    pipe.send(signal.SIGINT in signal.sigpending())
    if depth:
        child = multiprocessing.get_context("fork").Process(target=_report, args=(pipe, depth - 1))
        child.start()
        child.join()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_are_deaf_to_ctrl_c_and_so_are_theirs(method: str) -> None:
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=_report, args=(theirs, 1))
    children_without_sigint()
    children_without_sigint()  # twice is once
    process.start()
    process.join(60)
    assert process.exitcode == 0 and [ours.poll(1) and ours.recv() for _ in range(2)] == [True, True]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_the_line_says_what_is_kept() -> None:
    error = Interrupted(signal.SIGINT)
    error.kept.append("the 3 texts are kept")
    assert (str(error), error.code) == ("interrupted; the 3 texts are kept", 130)
