"""What `interpret` and `caption` share: rows to tables, metrics and speed figures."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from pipeline.base.metrics_io import write_metrics
from pipeline.base.paths import Paths
from pipeline.captions.figures import all_right
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


def write_captions(
    rows: Iterable[Row],
    settings: Settings,
    paths: Paths,
    engine: Callable[[], Engine] | None = None,
) -> None:
    """Give every row its text and write the tables, the metrics and the speed figures of all datasets.

    Only a block of rows is held at a time.

    Args:
        rows: one for every row of the stage's source, dataset by dataset, in the order of their ids.
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
        writer = stack.enter_context(TextWriter(settings, cache, engine, count))
        for block in blocks_of(rows):
            row[:] = max(block, key=lambda one: len(one.messages[-1]["content"])).messages
            tables.write(writer.write(block))
            del block  # before the next one is made
        writer.check()  # here: the tables do not appear
    metrics = tables.figures()
    write_metrics(paths.metrics(name), metrics)
    summary = {"all_right_rate": metrics["all"]["final"]["all_right_rate"]}
    write_metrics(paths.summary(name), {name: summary})
    speed = writer.speed.figures(time.perf_counter() - since)
    speed |= {"model": settings.llm.model, "damaged_cache_parts": cache.damaged}
    write_metrics(paths.speed(name), speed)
    print(_summary(name, metrics["all"], speed), file=sys.stderr)


def _summary(stage: str, metrics: dict[str, Any], speed: dict[str, Any]) -> str:
    rate = speed["output_tokens_per_second"]
    phrases = [
        f"{stage}: {metrics['rows']} rows in {speed['seconds']:.1f} s",
        f"{speed['generated']} generated" + (f" at {rate:.0f} tokens/s" if rate else ""),
        f"{speed['cache_hits']} from the cache",
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
