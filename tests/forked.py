"""How a fork that was a program ends."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn


def end_as_program(run: Callable[[], object]) -> NoReturn:
    """Run a program's main function and end this process with its exit code.

    It ends as a program does, but for the interpreter, which is that of the process before the fork and has
    more to end. What `run` returns is the exit code; None is 0.
    """
    code: object = 1
    try:
        code = run() or 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        import traceback

        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    from multiprocessing.util import _exit_function

    _exit_function()
    os._exit(code if isinstance(code, int) else 1)
