"""Every end of a command is one line and its exit code, also where a library takes the signal for itself."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys, threading, time
import polars as pl
import typer
from lempo.ending import end_with_one_line

app = typer.Typer()

@app.command()
def work() -> None:
    threading.Timer(0.5, print, ("ready",), {{"flush": True}}).start()
    {body}

end_with_one_line(app)
"""
COMPUTES = (
    "a, b = (pl.LazyFrame({name: range(10**5)}) for name in 'ab'); "
    "a.join(b, how='cross').select(pl.col('a') * pl.col('b')).sum().collect()"
)
WAITS = "time.sleep(60)"


def _start(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("body", [WAITS, COMPUTES])
def test_ctrl_c_is_one_line_also_while_polars_computes(body: str) -> None:
    process = _start(body)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "interrupted\n")


def test_another_exit_code_stays() -> None:
    process = _start("raise typer.Exit(3)")
    assert process.wait(30) == 3
