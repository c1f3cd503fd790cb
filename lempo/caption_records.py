"""`lempo captions --json`: the rows that the page would show, as one JSON object."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.captions.figures import ALWAYS

_C1 = re.compile(r"[\x7f-\x9f]")  # JSON does not escape these, and a terminal would obey them
Row = Mapping[str, Any]


def printed(head: Row, records: Iterable[Row]) -> Iterator[str]:
    """The lines of one JSON object with the keys of `head` and, in `texts`, the records, one a line."""
    yield _dumped(head).removesuffix("}") + ', "texts": ['
    before = None
    for record in records:
        if before is not None:
            yield before + ","
        before = _dumped(record)
    if before is not None:
        yield before
    yield "]}"


def record(row: Row, columns: Sequence[str], graph: str | None, other: Row | None) -> dict[str, Any]:
    """A row of the table, with its graph and its query.

    Args:
        columns: of `row` that are given as they are.
        graph: its lines.
        other: the text of the other run, with `status` None where it has no such row; None: there is no
            other run.
    """
    found = {name: row[name] for name in columns} | {"graph": graph}
    if other is not None:
        found["change"] = "worse" if row["worse"] > 0 else "better" if row["worse"] < 0 else "neither"
        found["other"] = None if other["status"] is None else dict(other)
    return found


def rates(figures: Row) -> dict[str, float | None]:
    """The shares of texts that are all right: first ones, the model's after repair, those of the table."""
    return {group: figures.get(group, {}).get("all_right_rate") for group in ALWAYS}


def _dumped(value: Row) -> str:
    return _C1.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(value, ensure_ascii=False))
