"""Errors that a user can correct: one line with file, row, field, value and remedy."""

import errno
import os
import resource
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What is wrong with one input, in the words that the error line and `rejects.parquet` share."""

    reason: str
    remedy: str
    file: str | None = None
    row: int | None = None
    field: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        row = "" if self.row is None else f"row {self.row}"
        field = f"field '{self.field}'" if self.field else ""
        where = ", ".join(filter(None, (f"{self.file or ''} {row}".strip(), field)))
        line = f"{where}: {self.reason}" if where else self.reason
        if self.value is not None:
            shown = self.value if len(self.value) <= 120 else self.value[:117] + "..."
            line += f" (got {shown!r})"
        # names of files and keys come from outside: they must not break the line or control the terminal
        return "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode() for c in f"{line}. {self.remedy}"
        )


class UserError(Exception):
    """Ends a command with exit code 1 and one line, never with a traceback."""

    def __init__(
        self,
        reason: str,
        remedy: str,
        *,
        file: object = None,
        row: int | None = None,
        field: str | None = None,
        value: object = None,
    ) -> None:
        file = None if file is None else str(file)
        value = None if value is None else str(value)
        self.problem = Problem(reason, remedy, file, row, field, value)
        super().__init__(str(self.problem))


def is_odd(file: object) -> bool:
    """Whether a pipe, a socket or a device stands there, also behind a link: to read one may never end."""
    try:
        mode = os.stat(str(file)).st_mode
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def refuse_odd(file: object, remedy: str = "Put the file itself there") -> None:
    """Refuse what `is_odd`, before a reader opens it.

    Raises:
        UserError: names the file.
    """
    if is_odd(file):
        raise UserError("it is no regular file", remedy, file=file)


@contextmanager
def reading(
    file: object, remedy: str, reason: str = "the file is damaged or cannot be read"
) -> Iterator[None]:
    """Around the calls of a library that reads a file, and around what takes its contents apart.

    Libraries raise anything on damaged bytes: OSError, KeyError, RecursionError, their own errors. Each
    becomes one line with the file's name.

    Args:
        remedy: what the user can do, as "Run `dvc repro`".

    Raises:
        UserError: for every error inside, but a `UserError` stays as it is; and what `refuse_odd` raises.
    """
    refuse_odd(file, remedy)
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:  # also where a damaged file states an absurd length
        reason = "memory ran out while the file was read"
        remedy = f"Give the run more memory. If the file is small, it is damaged: {remedy}"
        raise UserError(reason, remedy, file=file, value=_line(error)) from None
    except Exception as error:
        raise UserError(reason, remedy, file=file, value=_line(error)) from None


_NO_MEMORY = (
    "allocate memory",
    "out of memory",
    "bad_alloc",
    "bad allocation",
    "memory allocation",
    "can't start new",
)
ADDRESS_SPACE = (
    3 * 10**9
)  # bytes that the libraries reserve before they hold any data; measured: 2.0 to 2.6 GB
_DEAD = ("BrokenProcessPool", "DataLoader worker (pid", "terminated abruptly")


def check_address_space() -> None:
    """Refuse to start under a limit that leaves no room for the libraries.

    numpy's BLAS waits for ever for memory that it cannot reserve, and others abort.

    Raises:
        UserError: `ulimit -v` or `ulimit -d` is below `ADDRESS_SPACE`.
    """
    for kind, name in ((resource.RLIMIT_AS, "ulimit -v"), (resource.RLIMIT_DATA, "ulimit -d")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
            reason = f"the limit on memory that `{name}` sets is below {ADDRESS_SPACE / 1e9:.0f} GB"
            remedy = f"Raise it, as by `{name} unlimited`; to bound real memory, use a cgroup"
            raise UserError(reason, remedy, value=f"{limit / 1e9:.1f} GB")


def add_extra(extra: str) -> str:
    """The remedy where an optional part of the project is not installed."""
    return f"Install the extra `{extra}`: `lempo doctor` shows the command"


def of_the_machine(error: BaseException) -> UserError | None:
    """The clear error for one that says that memory ran out or a worker process died; None for others."""
    text = f"{type(error).__name__}: {_line(error)}"
    if any(sign in text for sign in _DEAD):
        reason = "a worker process ended before its work was done; often the system ended it to free memory"
        remedy = "Run the command again: what was finished is kept. If it ends so again, lower speed.workers"
        return UserError(reason, remedy, value=text)
    out = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    if out or (
        isinstance(error, RuntimeError | OSError) and any(sign in text.lower() for sign in _NO_MEMORY)
    ):
        reason = "memory ran out"
        remedy = (
            "Give the run more memory, or lower what it holds at once: speed.workers, speed.embed_batch, "
            "speed.encode_batch, speed.rank_mib, tune.batch_size"
        )
        return UserError(reason, remedy, value=text)
    return None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def perhaps(value: object, known: Iterable[object]) -> str:
    """ "Did you mean 'tune'? ", where a known name is like a value; else ""."""
    from difflib import get_close_matches

    close = get_close_matches(str(value), [str(name) for name in known], n=1)
    return f"Did you mean '{close[0]}'? " if close else ""


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """An error's message on one line, cut to `limit` characters; what cannot be printed is escaped."""
    name = "" if isinstance(error, str) else type(error).__name__
    text = " ".join(str(error)[: 10 * limit].split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    line = f"{name}: {text}" if name and text else name or text
    return line if len(line) <= limit else line[: limit - 3] + "..."


def parameter_error(reason: str, remedy: str, field: str, value: object = None) -> UserError:
    """The error of a value in `params.yaml`; `field` is its name there, as in `llm.model`."""
    return UserError(reason, remedy, file="params.yaml", field=field, value=value)
