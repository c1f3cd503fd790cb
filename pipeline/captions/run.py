"""What `interpret` and `caption` share: rows to tables, metrics and speed figures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.metrics_io import write_metrics
from pipeline.base.paths import Paths
from pipeline.base.tables import as_table
from pipeline.captions.figures import TableFigures, all_right
from pipeline.captions.judging import Outcome
from pipeline.captions.parts import Part, Written, WrittenParts, remove_unused
from pipeline.captions.row_cache import RowCache
from pipeline.captions.rows import Row
from pipeline.captions.settings import Settings
from pipeline.captions.tables import CaptionTables
from pipeline.captions.writer import TextWriter
from pipeline.llm.engines import open_engine
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine

BLOCK_ROWS = 65_536
T = TypeVar("T")


def row_cache(paths: Paths) -> RowCache:
    """The project's row cache."""
    return RowCache(paths.cache / "llm")


def written_parts(paths: Paths) -> Path:
    """The folder of the parts of tables that were written before, within that of the row cache."""
    return paths.cache / "llm/written"


def write_captions(
    parts: Iterable[Part],
    settings: Settings,
    paths: Paths,
    engine: Callable[[], Engine] | None = None,
) -> None:
    """Give every row its text and write the tables, the metrics and the speed figures of all datasets.

    Only a block of rows is held at a time. Parts that were written before are taken as they are.

    Args:
        parts: of all rows of the stage's source, dataset by dataset, in the order of their ids.
        engine: opens the engine; by default the one that the parameters name.

    Raises:
        UserError: too many rows failed. No table is written then; what was generated stays in the row cache.
    """
    since = time.perf_counter()
    name, count = settings.stage.name, settings.stage.count(settings.params, paths)
    row: list[Message] = []  # the one with the most to say; its prompt tries the model's chat template
    engine = engine or partial(open_engine, settings.params, paths.root, row)
    with ExitStack() as stack:
        tables = CaptionTables(settings, paths, stack)
        cache = row_cache(paths)
        known = WrittenParts(written_parts(paths), settings, tables.tokenizer)
        writer = stack.enter_context(TextWriter(settings, cache, engine, count))
        maker = _Maker(tables, known, writer)
        for step in _steps(parts, known):
            if isinstance(step, list):
                row[:] = max((one for _, one in step), key=_length).messages
                maker.make(step)
            else:
                maker.take(*step)
            del step  # before the next one is made
        maker.finish()
        writer.check()  # here: the tables do not appear
    remove_unused(written_parts(paths))
    metrics = tables.figures()
    write_metrics(paths.metrics(name), metrics)
    summary = {"all_right_rate": metrics["all"]["final"]["all_right_rate"]}
    write_metrics(paths.summary(name), {name: summary})
    speed = writer.speed.figures(time.perf_counter() - since)
    speed |= {"model": settings.llm.model, "damaged_cache_parts": cache.damaged + known.damaged}
    write_metrics(paths.speed(name), speed)
    print(_summary(name, metrics["all"], speed), file=sys.stderr)


@dataclass(eq=False)
class _Making:
    """A part whose rows are being made, and what is known of all of them so far.

    Rows of a part that can be kept are written together at its end, others at once.
    """

    part: Part
    rows: list[dict[str, Any]] = field(default_factory=list)
    figures: TableFigures = field(default_factory=TableFigures)
    asked: int = 0
    settled: bool = True

    def add(self, outcomes: Sequence[Outcome], tables: CaptionTables) -> None:
        """Add outcomes of the part's next rows."""
        rows = tables.rows(outcomes, self.figures)
        if self.part.content is None:
            tables.write(self.part.dataset, rows)
            return
        self.rows += rows
        self.asked += sum(outcome.row.brought is None and not outcome.row.empty for outcome in outcomes)
        self.settled = self.settled and all(outcome.settled for outcome in outcomes)


class _Maker:
    """Writes parts in their order: the rows of some are made, those of others were written before."""

    def __init__(self, tables: CaptionTables, known: WrittenParts, writer: TextWriter) -> None:
        self._tables, self._known, self._writer = tables, known, writer
        self._making: _Making | None = None

    def make(self, rows: Sequence[tuple[Part, Row]]) -> None:
        """Make the next rows, each of which belongs to a part."""
        outcomes = self._writer.write([row for _, row in rows])
        for part, some in groupby(zip(rows, outcomes, strict=True), key=lambda pair: pair[0][0]):
            if self._making is None or self._making.part is not part:
                self.finish()
                self._making = _Making(part)
            self._making.add([outcome for _, outcome in some], self._tables)

    def take(self, part: Part, written: Written) -> None:
        """Take a part as it was written before."""
        self.finish()
        self._writer.take(part, written)
        self._tables.write(part.dataset, written.rows)
        self._tables.count(part.dataset, written.figures)

    def finish(self) -> None:
        """Write the rows of the part that was being made, and keep them for later runs."""
        making, self._making = self._making, None
        if making is None:
            return
        part = making.part
        self._tables.count(part.dataset, making.figures)
        if part.content is None:
            return
        rows = as_table(making.rows, self._tables.schema, part.dataset)
        self._tables.write(part.dataset, rows)
        if making.settled:
            thinks = self._writer.thinks
            self._known.keep(part, Written(rows, making.figures, making.asked, thinks))


def _steps(
    parts: Iterable[Part], known: WrittenParts
) -> Iterator[tuple[Part, Written] | list[tuple[Part, Row]]]:
    """In their order: parts that were written before, and blocks of the rows of others."""
    block: list[tuple[Part, Row]] = []
    for part in parts:
        if (written := known.find(part)) is not None:
            if block:
                yield block
                block = []
            yield part, written
            continue
        for row in part.rows():
            block.append((part, row))
            del row
            if len(block) >= BLOCK_ROWS:
                yield block
                block = []
    if block:
        yield block


def _length(row: Row) -> int:
    return len(row.messages[-1]["content"])


def _summary(stage: str, metrics: dict[str, Any], speed: dict[str, Any]) -> str:
    rate = speed["output_tokens_per_second"]
    phrases = [
        f"{stage}: {metrics['rows']} rows in {speed['seconds']:.1f} s",
        f"{speed['generated']} generated" + (f" at {rate:.0f} tokens/s" if rate else ""),
        f"{speed['cache_hits']} from the cache"
        + (f", {speed['kept_rows']} rows as before" if speed["kept_rows"] else ""),
        f"{metrics['failed']} failed, {metrics['final']['truncated']} truncated",
    ]
    if damaged := speed["damaged_cache_parts"]:
        phrases.append(f"{damaged} damaged part{'s' * (damaged > 1)} of the cache set aside")
    if brought := metrics.get("brought"):
        phrases.append(f"{brought['texts']} brought")
    if metrics["fallback_rate"]:
        phrases.append(f"{metrics['fallback_rate']:.1%} by rule")
    if alone := metrics.get("of_images_alone"):
        phrases.append(f"{alone} of images alone")
    if metrics["empty"]:
        phrases.append(f"{metrics['empty']} of empty graphs")
    if right := all_right(metrics):
        phrases.append(right)
    return "; ".join(phrases)


def blocks_of(rows: Iterable[T]) -> Iterator[list[T]]:
    """All rows in their order, `BLOCK_ROWS` at a time."""
    source = iter(rows)
    while block := list(islice(source, BLOCK_ROWS)):
        yield block
        del block  # before the next one is made
