"""What `interpret` and `caption` share: rows to tables, metrics and speed figures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from pipeline.base.metrics_io import write_metrics
from pipeline.base.paths import Paths
from pipeline.captions.figures import all_right
from pipeline.captions.parts import Part, WrittenParts
from pipeline.captions.row_cache import RowCache
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

    Only a block of parts is held at a time. Those that were written before are taken as they are.

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
        for block in blocks_of(parts, lambda part: part.count):
            _write(block, known, writer, tables, row)
            del block  # before the next one is made
        writer.check()  # here: the tables do not appear
    known.remove_unused()
    metrics = tables.figures()
    write_metrics(paths.metrics(name), metrics)
    summary = {"all_right_rate": metrics["all"]["final"]["all_right_rate"]}
    write_metrics(paths.summary(name), {name: summary})
    speed = writer.speed.figures(time.perf_counter() - since)
    speed |= {"model": settings.llm.model, "damaged_cache_parts": cache.damaged + known.damaged}
    write_metrics(paths.speed(name), speed)
    print(_summary(name, metrics["all"], speed), file=sys.stderr)


def _write(
    block: Sequence[Part],
    known: WrittenParts,
    writer: TextWriter,
    tables: CaptionTables,
    longest: list[Message],
) -> None:
    """Write the rows of a block of parts; `longest` becomes the prompt with the most to say."""
    before = [known.find(part) for part in block]
    for part, written in zip(block, before, strict=True):
        if written is not None:
            writer.take(part, written)
    rows = [list(part.rows()) if written is None else [] for part, written in zip(block, before, strict=True)]
    made = list(chain.from_iterable(rows))
    if made:
        longest[:] = max(made, key=lambda row: len(row.messages[-1]["content"])).messages
    outcomes = iter(writer.write(made))
    for part, written, own in zip(block, before, rows, strict=True):
        if written is None:
            some = list(islice(outcomes, len(own)))
            written = tables.written(part.dataset, some)
            if all(outcome.settled for outcome in some):
                known.keep(part, written)
        tables.add(part.dataset, written)


def blocks_of(things: Iterable[T], rows: Callable[[T], int] = lambda _: 1) -> Iterator[list[T]]:
    """All things in their order, together at most `BLOCK_ROWS` rows, unless one has more.

    Args:
        rows: how many a thing has.
    """
    block: list[T] = []
    held = 0
    for thing in things:
        if block and held + rows(thing) > BLOCK_ROWS:
            yield block
            block, held = [], 0
        block.append(thing)
        held += rows(thing)
        del thing
    if block:
        yield block


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
