"""What `interpret` and `caption` share: settings checked before any work, rows to tables and metrics."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import CaptionParams, LanguageParams, Params
from pipeline.base.paths import Paths
from pipeline.base.tables import open_table
from pipeline.captions.answer import SCHEMA, asking_for_json
from pipeline.captions.clip_tokens import ClipTokens
from pipeline.captions.row_cache import RowCache
from pipeline.captions.rows import Row, Settings
from pipeline.captions.tables import CaptionFigures, speed_figures, table_rows
from pipeline.captions.writer import TextWriter
from pipeline.graph import verbalise as rules
from pipeline.llm.engines import open_engine
from pipeline.llm.identity import model_identity
from pipeline.llm.prompt import PromptTemplate, load_prompt
from pipeline.llm.types import Engine

BLOCK_ROWS = 65_536
T = TypeVar("T")


def row_cache(paths: Paths) -> RowCache:
    """The project's row cache."""
    return RowCache(paths.cache / "llm")


def prepare(
    stage: str, section: LanguageParams, placeholders: Sequence[str], params: Params, paths: Paths
) -> tuple[PromptTemplate, Settings]:
    """Read the prompt and name the model; nothing is loaded.

    Raises:
        UserError: the prompt or the model's folder is missing or cannot be used.
    """
    template = load_prompt(paths.root / section.prompt, placeholders)
    llm = params.llm
    return template, Settings(
        stage=stage,
        identity=model_identity(llm, paths.cache, paths.root),
        model=llm.model,
        prompt_hash=template.hash,
        max_tokens=section.max_tokens,
        temperature=llm.temperature,
        top_p=llm.top_p,
        seed=params.seed,
        repairs=llm.repairs,
        repair_temperature=llm.repair_temperature,
        tries=llm.tries,
        json_schema=SCHEMA if llm.output == "json" else None,
        samples=section.samples if isinstance(section, CaptionParams) else 1,
        sample_temperature=section.sample_temperature if isinstance(section, CaptionParams) else 1.0,
    )


def run_rows(
    rows: Iterable[Row],
    count: int,
    settings: Settings,
    params: Params,
    paths: Paths,
    *,
    id_column: str,
    schema: pa.Schema,
    table_path: Callable[[str], Path],
    engine: Callable[[], Engine] | None = None,
) -> None:
    """Give every row its text and write the tables, the metrics and the speed figures of all datasets.

    Only a block of rows is held at a time.

    Args:
        rows: dataset by dataset, in the order of their ids.
        count: how many there are.
        engine: opens the engine; by default the one that the parameters name.
    """
    since = time.perf_counter()
    tokenizer = ClipTokens(params.vlm, paths.cache, paths.root)
    verbalise = rules.verbalise if params.llm.fallback == "rules" else None
    if settings.json_schema is not None:
        rows = (replace(row, messages=asking_for_json(row.messages)) for row in rows)
    total = CaptionFigures()
    figures = {dataset: CaptionFigures() for dataset in params.datasets}
    with ExitStack() as stack:
        tables = {
            dataset: stack.enter_context(open_table(table_path(dataset), schema))
            for dataset in params.datasets
        }
        texts = stack.enter_context(
            TextWriter(settings, row_cache(paths), engine or (lambda: open_engine(params, paths.root)), count)
        )

        def write(block: list[Row]) -> None:
            outcomes = texts.write(block)
            made = table_rows(block, outcomes, settings, id_column, tokenizer.count, verbalise)
            total.add(made, tokenizer.context_length)
            for dataset, pairs in groupby(zip(block, made, strict=True), key=lambda pair: pair[0].dataset):
                part = [entry for _, entry in pairs]
                tables[dataset].write(part)
                figures[dataset].add(part, tokenizer.context_length)

        for block in blocks_of(rows):
            write(block)
            del block  # before the next one is made
    metrics = {"all": total.figures(), **{dataset: found.figures() for dataset, found in figures.items()}}
    write_metrics(paths.metrics(settings.stage), metrics)
    speed = speed_figures(texts.speed, time.perf_counter() - since)
    write_metrics(paths.speed(settings.stage), speed)
    print(_summary(settings.stage, metrics["all"], speed), file=sys.stderr)


def _summary(stage: str, metrics: dict[str, Any], speed: dict[str, Any]) -> str:
    rate = speed["output_tokens_per_second"]
    parts = [
        f"{stage}: {metrics['rows']} rows in {speed['seconds']:.1f} s",
        f"{speed['generated']} generated" + (f" at {rate:.0f} tokens/s" if rate else ""),
        f"{speed['cache_hits']} from the cache",
        f"{metrics['failed']} failed, {metrics['truncated']} truncated",
    ]
    if metrics["empty"]:
        parts.append(f"{metrics['empty']} of empty graphs")
    if metrics["all_right_rate"] is not None:
        parts.append(f"{metrics['all_right_rate']:.1%} all right")
    return "; ".join(parts)


def blocks_of(rows: Iterable[T]) -> Iterator[list[T]]:
    """All rows in their order, `BLOCK_ROWS` at a time."""
    source = iter(rows)
    while block := list(islice(source, BLOCK_ROWS)):
        yield block
        del block  # before the next one is made


class Repeatable(Generic[T]):
    """What `make` yields, to go through more than once: made anew each time, unless it is one block or less.

    `count` is how many items there are, known once they have been gone through.
    """

    def __init__(self, make: Callable[[], Iterable[T]]) -> None:
        self._make = make
        self._kept: list[T] | None = None
        self.count = 0

    def __iter__(self) -> Iterator[T]:
        return self._made() if self._kept is None else iter(self._kept)

    def _made(self) -> Iterator[T]:
        kept: list[T] = []
        count = 0
        for count, item in enumerate(self._make(), 1):
            if count <= BLOCK_ROWS:
                kept.append(item)
            else:
                kept.clear()
            yield item
        self.count = count
        if count <= BLOCK_ROWS:
            self._kept = kept
