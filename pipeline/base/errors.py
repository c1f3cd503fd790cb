"""Errors that a user can mend: one line that names file, row, field, value and remedy."""

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
        where = self.file or ""
        if self.row is not None:
            where += f" row {self.row}"
        parts = [part for part in (where.strip(), f"field '{self.field}'" if self.field else "") if part]
        line = ", ".join(parts) + (": " if parts else "") + self.reason
        if self.value is not None:
            shown = self.value if len(self.value) <= 120 else self.value[:117] + "..."
            line += f" (got {shown!r})"
        line = f"{line}. {self.remedy}"
        # names of files and keys are the user's too: none breaks the line or commands a terminal
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


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
        self.problem = Problem(
            reason=reason,
            remedy=remedy,
            file=None if file is None else str(file),
            row=row,
            field=field,
            value=None if value is None else str(value),
        )
        super().__init__(str(self.problem))
