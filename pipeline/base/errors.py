"""Errors that a user can correct: one line with file, row, field, value and remedy."""

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


def parameter_error(reason: str, remedy: str, field: str, value: object = None) -> UserError:
    """The error of a value in `params.yaml`; `field` is its name there, as in `llm.model`."""
    return UserError(reason, remedy, file="params.yaml", field=field, value=value)
