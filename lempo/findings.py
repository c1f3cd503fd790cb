"""What `lempo check` and `lempo doctor` find: one line each, or one JSON object of all."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: of it, as in `disk`.
        ok: whether a run can do with it as it is.
        said: what was found, or what is wrong and how to mend it; one line.
        figures: what a script would want to read out of `said`.
    """

    name: str
    ok: bool
    said: str
    figures: dict[str, Any] = field(default_factory=dict)


def show(findings: Iterable[Finding], as_json: bool) -> bool:
    """Print findings as they come, `ok` or `FAIL` before each, coloured on a terminal; true if all are ok."""
    if as_json:
        found = list(findings)
        passed = all(finding.ok for finding in found)
        print(json.dumps({"ok": passed, "findings": [asdict(finding) for finding in found]}, default=str))
        return passed
    from rich.console import Console
    from rich.text import Text

    console, passed = Console(soft_wrap=True), True
    for finding in findings:
        mark = Text("ok   ", "green") if finding.ok else Text("FAIL ", "bold red")
        console.print(mark + Text(f"{finding.name}:", "bold") + Text(f" {finding.said}"))
        passed &= finding.ok
    return passed


def shown_bytes(size: float) -> str:
    """A size for people, as in 1.5 MB."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one or unit == "kB":
            return f"{size / one:.1f} {unit}"
    raise AssertionError("kB is the last unit")
