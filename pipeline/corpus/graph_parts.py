"""The rows of `scene_graphs.json` in parts. One whose rows and images are as before is not checked again."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.base.code import code_hash
from pipeline.base.files import identity_hash
from pipeline.base.kept_parts import KeptParts, ends_part
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.corpus.checks import Rejected
from pipeline.corpus.scene_graphs import graph_row
from pipeline.corpus.tables import Notes

_CODE = ("pipeline/base", "pipeline/corpus")


class GraphRow(NamedTuple):
    """A row that names an image.

    Attributes:
        row: its position in the file.
        value, text: the row, and as it stands in the file.
        size: width and height of the image, in pixels; None if the image is not usable.
        unusable: why not.
    """

    row: int
    image_id: str
    value: Mapping[str, Any]
    text: str
    size: tuple[int, int] | None = None
    unusable: str | None = None


class Noted(NamedTuple):
    """What was put right or left out in the rows of a part, of one kind of `NOTES`, and the first case."""

    kind: str
    times: int
    row: int
    first: Rejected | None


class Checked(NamedTuple):
    """The graphs of a part, in any order, and what was wrong in it."""

    graphs: pa.Table
    rejected: list[tuple[GraphRow, Rejected]]
    notes: list[Noted]


def check_parts(rows: Iterable[GraphRow], dataset: str, store: Path | None) -> Iterator[Checked]:
    """Check all rows, part by part.

    Args:
        store: folder of parts that earlier runs checked; None: all are checked.
    """
    settings = {"code": code_hash(*_CODE), "python": platform.python_version()}  # its tables of Unicode
    known = None if store is None else KeptParts(store, SCENE_GRAPHS, settings)
    for part in _parts(rows):
        content = identity_hash({"rows": [[row.text, row.image_id, row.size, row.unusable] for row in part]})
        found = known.find(dataset, content) if known else None
        graphs, said = found or _check(part)
        if known and not found:
            known.keep(dataset, content, graphs, said)
        yield Checked(
            graphs,
            [(part[place], Rejected(*error)) for place, error in said["rejected"]],
            [
                Noted(kind, times, part[place].row, first and Rejected(*first))
                for kind, (times, place, first) in said["notes"].items()
            ],
        )
    if known is not None:
        known.remove_unused()


def _parts(rows: Iterable[GraphRow]) -> Iterator[list[GraphRow]]:
    part: list[GraphRow] = []
    for row in rows:
        part.append(row)
        if ends_part(row.image_id, len(part)):
            yield part
            part = []
    if part:
        yield part


def _check(part: list[GraphRow]) -> tuple[pa.Table, Mapping[str, Any]]:
    """The graphs, and in JSON values what was wrong; a row is named by its place in the part."""
    graphs, rejected, noted = [], [], dict[str, tuple[int, int, Any]]()
    for place, row in enumerate(part):
        notes = Notes()
        try:
            if row.size is None:
                reason = f"its image was rejected: {row.unusable}"
                raise Rejected(reason, "Correct the image, or remove the graph", "image_id", row.image_id)
            graphs.append(graph_row(row.value, row.image_id, *row.size, notes))
        except Rejected as error:
            rejected.append((place, error.parts))
            continue
        for kind, times in notes.counts.items():
            first = notes.first.get(kind)
            before, at, known = noted.get(
                kind, (0, place, first.parts if isinstance(first, Rejected) else None)
            )
            noted[kind] = before + times, at, known
    return pa.Table.from_pylist(graphs, schema=SCENE_GRAPHS), {"rejected": rejected, "notes": noted}
