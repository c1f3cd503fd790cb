"""How a command ends: one line and an exit code, whatever ends it; and where its lines go."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import typer

from lempo.torchrun import follow, speaks
from pipeline.base.errors import UserError, check_address_space, of_the_machine
from pipeline.base.interrupts import Interrupted, end_by_signals, raise_no_more, received
from pipeline.base.storage import storage_error


class AboveBars(logging.StreamHandler):
    """Writes to standard error; a line does not tear a progress bar that stands there."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm = sys.modules.get("tqdm")  # where nothing has imported it, there is no bar
        if tqdm is None or not sys.stderr.isatty():
            super().emit(record)
            return
        try:
            tqdm.tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # as of every handler: what cannot be logged ends no run
            self.handleError(record)


def end_with_one_line(command: Callable[[], object]) -> None:
    """Run a command; a user's mistake ends it with exit code 1, a signal with 130 or 143."""
    try:
        _run(command)
    except Interrupted as late:  # while another end was told
        _end(late)


def _run(command: Callable[[], object]) -> None:
    try:
        end_by_signals()
        follow()
        check_address_space()
        command()
    except BaseException as error:
        if ended := _interrupted(error):
            _end(ended)
        raise_no_more()
        if isinstance(error, BrokenPipeError):  # the reader has closed it, as in `lempo captions | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        known = error if isinstance(error, UserError) else of_the_machine(error) or storage_error(error)
        if (known or not isinstance(error, SystemExit)) and not speaks(known or repr(error)):
            sys.exit(1)
        if known is None:
            raise
        _say(f"{_red('error:')} {known}")
        sys.exit(1)


def _interrupted(error: BaseException) -> Interrupted | None:
    """The signal behind an error, of which a library may have made another exception.

    polars takes SIGINT for itself while it computes. It raises KeyboardInterrupt, which Typer turns into an
    exit with 130.
    """
    if isinstance(error, Interrupted):
        return error
    exits = isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT
    number = received() or (signal.SIGINT if exits else 0)
    return Interrupted(number) if number else None


def _end(ended: Interrupted) -> NoReturn:
    if speaks(ended):
        _say(ended)
    os._exit(ended.code)  # what runs at Python's exit may wait for a computation or a server


def _red(text: str) -> str:
    """Red on a terminal, unless the person has asked for no colours."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stderr.isatty()
    return text if plain else typer.style(text, fg=typer.colors.RED, bold=True)


def _say(line: object) -> None:
    with suppress(OSError):  # the terminal may be gone, or the disk of a log file full
        sys.stdout.flush()
        print(line, file=sys.stderr, flush=True)
