"""The rows of a language stage in parts, and what came of each part before.

A part that is made from the same again is not made again: neither its prompts nor its checks. So one changed
graph among a million costs its own part, unless it brings a new label or takes the last of one away: the
check of each text knows all labels. Parts are cut where the ids of their rows say so: a row more or less
changes one of them.
"""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa

from pipeline.base.code import code_hash
from pipeline.base.errors import UserError
from pipeline.base.files import identity_hash, set_aside
from pipeline.base.storage import is_damaged, use
from pipeline.base.tables import content_hash, read_table, table_provenance, write_table
from pipeline.captions.figures import TableFigures
from pipeline.captions.rows import Row
from pipeline.captions.settings import Settings

PART_ROWS = 1_024  # on average
MOST_ROWS = 4 * PART_ROWS
_CODE = (
    "pipeline/base", "pipeline/captions", "pipeline/faithfulness", "pipeline/graph", "pipeline/llm",
    "pipeline/vision", "stages/interpret.py",
)  # fmt: skip
_NOT_OF_TEXTS = {"engine", "endpoint", "tries", "max_failed_share"}  # of `llm`; the model's identity is apart


@dataclass(frozen=True)
class Part:
    """Some rows of a dataset, in the order of their ids.

    Attributes:
        dataset: its name.
        rows: makes them.
        count: how many there are.
        content: a hash of all that they are made from, apart from the stage's settings; None where that is
            not known, so that they are always made.
    """

    dataset: str
    rows: Callable[[], Iterable[Row]]
    count: int
    content: str | None = None


@dataclass(frozen=True)
class Written:
    """What came of a part.

    Attributes:
        rows: of the stage's table.
        figures: of these rows.
        asked: how many a model was asked for, by any run.
        thinks: whether an answer held the end of thoughts.
    """

    rows: pa.Table
    figures: TableFigures
    asked: int
    thinks: bool


class WrittenParts:
    """Parts of a stage that were written before: a file for each, named by all that it depends on.

    Only parts are kept of which no row failed or was cut: such rows may have another outcome later.

    Attributes:
        folder: of all stages' parts.
        damaged: files that were set aside.

    Args:
        tokenizer: names what counts the tokens of texts.
    """

    def __init__(self, folder: Path, settings: Settings, tokenizer: str) -> None:
        self.folder, self._schema = folder, settings.stage.schema
        templates = (settings.template, settings.without_graph, settings.repair)
        self._settings = {
            "code": code_hash(*_CODE),
            "python": platform.python_version(),  # its tables of Unicode
            "stage": settings.stage.name,
            "prompts": [template and template.hash for template in templates],
            "section": settings.section.model_dump(mode="json"),
            "llm": settings.llm.model_dump(mode="json", exclude=_NOT_OF_TEXTS),
            "seed": settings.params.seed,
            "model": settings.identity,
            "tokenizer": tokenizer,
        }
        self.damaged = 0

    def find(self, part: Part) -> Written | None:
        """What came of a part; None where that is not known."""
        if part.content is None or not os.path.lexists(file := self._file(part)):
            return None
        try:
            record = table_provenance(file, self._schema, {"part": file.stem}).made_from
            rows = read_table(file, self._schema)
            figures = TableFigures.of(record["figures"])
            written = Written(rows, figures, record["asked"], record["thinks"])
        except (UserError, KeyError, TypeError):
            if is_damaged(file):
                self.damaged += 1
                set_aside(file)
            return None
        use(file)
        return written

    def keep(self, part: Part, written: Written) -> None:
        """Keep what came of a part for later runs."""
        if part.content is not None:
            file = self._file(part)
            made_from = {
                "dataset": part.dataset,
                "part": file.stem,
                "figures": written.figures.record(),
                "asked": written.asked,
                "thinks": written.thinks,
            }
            write_table(written.rows, file, self._schema, made_from)

    def _file(self, part: Part) -> Path:
        name = identity_hash({**self._settings, "part": [part.dataset, part.content]})
        return self.folder / f"{name}.parquet"


def cut(batches: Iterable[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """The rows of some batches in parts; `key` is the column of their ids."""
    pieces: list[pa.RecordBatch] = []
    for batch in batches:
        start, held = 0, sum(piece.num_rows for piece in pieces)
        for row, id in enumerate(batch[key].to_pylist(), 1):
            if crc32(id.encode()) % PART_ROWS == 0 or held + row - start >= MOST_ROWS:
                yield pa.Table.from_batches([*pieces, batch.slice(start, row - start)])
                pieces, start, held = [], row, 0
        if start < batch.num_rows:
            pieces.append(batch.slice(start))
    if pieces:
        yield pa.Table.from_batches(pieces)


def content_of(rows: pa.Table, *further: Any) -> str:
    """The hash of some rows and of what else a part is made from: JSON values."""
    return identity_hash({"rows": content_hash(rows), "further": list(further)})
