"""Long output: in pages on a terminal, as it is elsewhere."""

import os
import shutil
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from subprocess import PIPE, Popen

_LESS = {"LESS": "FRX"}  # it ends at once where all fits on the screen, and leaves it there


def show(blocks: Iterable[str]) -> None:
    """Print blocks of text, on a terminal through `$PAGER` or less; what is not looked at is not made."""
    command = os.environ.get("PAGER") or shutil.which("less")
    if not command or not sys.stdout.isatty():
        for block in blocks:
            print(block, end="")
        return
    sys.stdout.flush()
    with Popen(command, shell=True, stdin=PIPE, encoding="utf-8", env=_LESS | os.environ) as pager:
        assert pager.stdin is not None
        before = signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C is for the pager; this waits for its end
        try:
            with suppress(BrokenPipeError):  # it was left before the end
                pager.stdin.writelines(blocks)
            with suppress(BrokenPipeError):
                pager.stdin.close()
            pager.wait()
        finally:
            signal.signal(signal.SIGINT, before)
