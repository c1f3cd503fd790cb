"""The rows of a language stage in parts, and what came of each part before.

A part that is made from the same again is not made again: neither its prompts nor its checks. So one changed
graph among a million costs its own part, unless it brings a new label or takes the last of one away: the
check of each text knows all labels.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.code import code_hash
from pipeline.base.files import identity_hash
from pipeline.base.kept_parts import KeptParts, ends_part
from pipeline.captions.figures import TableFigures
from pipeline.captions.rows import Row
from pipeline.captions.settings import Settings

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
    """Parts of a stage that were written before.

    Only parts are kept of which no row failed or was cut: such rows may have another outcome later.

    Args:
        folder: of all stages' parts.
        tokenizer: names what counts the tokens of texts.
    """

    def __init__(self, folder: Path, settings: Settings, tokenizer: str) -> None:
        templates = (settings.template, settings.without_graph, settings.repair)
        depends_on = {
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
        self._kept = KeptParts(folder, settings.stage.schema, depends_on)

    @property
    def damaged(self) -> int:
        """Files that were set aside."""
        return self._kept.damaged

    def find(self, part: Part) -> Written | None:
        """What came of a part; None where that is not known."""
        if part.content is None or (kept := self._kept.find(part.dataset, part.content)) is None:
            return None
        rows, said = kept
        try:
            return Written(rows, TableFigures.of(said["figures"]), said["asked"], said["thinks"])
        except (KeyError, TypeError):
            self._kept.set_aside(part.dataset, part.content)
            return None

    def keep(self, part: Part, written: Written) -> None:
        """Keep what came of a part for later runs."""
        if part.content is not None:
            figures = written.figures.record()
            said = {"figures": figures, "asked": written.asked, "thinks": written.thinks}
            self._kept.keep(part.dataset, part.content, written.rows, said)

    def remove_unused(self) -> None:
        """Delete what no run has used for a month."""
        self._kept.remove_unused()


def cut(batches: Iterable[pa.RecordBatch], key: str) -> Iterator[pa.Table]:
    """The rows of some batches in parts; `key` is the column of their ids."""
    pieces: list[pa.RecordBatch] = []
    for batch in batches:
        start, held = 0, sum(piece.num_rows for piece in pieces)
        for row, id in enumerate(batch[key].to_pylist(), 1):
            if ends_part(id, held + row - start):
                yield pa.Table.from_batches([*pieces, batch.slice(start, row - start)])
                pieces, start, held = [], row, 0
        if start < batch.num_rows:
            pieces.append(batch.slice(start))
    if pieces:
        yield pa.Table.from_batches(pieces)


def content_of(rows: str, *further: Any) -> str:
    """The hash of what a part is made from: the hash of its rows, `content_hash`, and further JSON values."""
    return identity_hash({"rows": rows, "further": list(further)})
