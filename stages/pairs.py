"""lempo pairs

Write the queries that every later stage reads: those that a dataset brings, and for a dataset that brings
none, those that are made from its scene graphs.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from pipeline.base.schemas import DROPPED, PAIRS, QUERIES, SPLITS
from pipeline.base.tables import read_table, value_counts, write_table
from pipeline.captions.figures import all_right
from pipeline.captions.settings import read_settings
from pipeline.captions.stages import PAIRS as WRITING
from pipeline.llm.types import Engine
from pipeline.pairs.making import Made, make
from pipeline.pairs.writing import by_model, by_rule, model_of

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths, engine: Callable[[], Engine] | None = None) -> None:
    """Write `data/pairs/<dataset>.parquet`, the dropped queries, `metrics/pairs.json` and speed.

    Args:
        engine: opens another engine than the one that the parameters name.

    Raises:
        UserError: a table of the corpus is missing or does not belong to the others; a dataset without
            queries has no graph, or a split has no pair; where the LLM writes, what language stages raise.
    """
    since, expected = time.perf_counter(), Expected(params, paths)
    making = [dataset for dataset in params.datasets if expected.makes_pairs(dataset)]
    settings = read_settings(WRITING, params, paths) if making and params.pairs.write == "llm" else None
    brought = {dataset: _brought(expected, dataset) for dataset in params.datasets}
    made = {
        dataset: _made(expected, dataset, brought[dataset])
        for dataset in Progress(making, title="pairs", unit="dataset")
    }
    if settings is None:
        written = {dataset: by_rule(one) for dataset, one in made.items()}
        write_metrics(paths.speed("pairs"), {"seconds": time.perf_counter() - since})
    else:
        written = by_model(made, settings, expected, engine)
    dropped, metrics = [], {}
    for dataset in params.datasets:
        rows, left_out, figures = written.get(dataset, ([], [], {}))
        found = made[dataset].figures if dataset in made else {}
        table = pa.concat_tables(
            [brought[dataset], pa.Table.from_pylist(rows, schema=brought[dataset].schema)]
        )
        model = model_of(settings) if settings is not None and dataset in made else {}
        write_table(table, paths.pairs(dataset), PAIRS, expected.pairs(dataset) | model)
        dropped += [{"dataset": dataset, **row} for row in left_out]
        metrics[dataset] = _figures(table, brought[dataset].num_rows, len(left_out)) | found | figures
        log.info(
            f"pairs {dataset}: {brought[dataset].num_rows} queries brought, {len(rows)} made, "
            f"{len(left_out)} dropped" + (f"; {right}" if (right := all_right(figures)) else "")
        )
    write_table(dropped, paths.dropped, DROPPED, expected.dropped())
    write_metrics(paths.metrics("pairs"), metrics)
    queries = sum(figures["queries"] for figures in metrics.values())
    write_metrics(paths.summary("pairs"), {"pairs": {"queries": queries}})


def brought(queries: pa.Table) -> pa.Table:
    """Queries of the corpus as rows of the table of all queries."""
    nothing = pa.nulls(queries.num_rows, pa.string())
    source = pa.repeat(pa.scalar("brought"), queries.num_rows)
    columns = queries.append_column("style", nothing).append_column("source", source)
    return columns.append_column("row_key", nothing).cast(PAIRS.remove_metadata())


def _brought(expected: Expected, dataset: str) -> pa.Table:
    file = expected.paths.queries(dataset)
    return brought(read_table(file, QUERIES, expect=expected.corpus(dataset)))


def _made(expected: Expected, dataset: str, queries: pa.Table) -> Made:
    """Made queries; one whose id a brought query has gives way to it."""
    made = make(expected, dataset, value_counts(queries["split"]))
    taken = set(queries["query_id"].to_pylist())
    made.queries = [query for query in made.queries if query.query_id not in taken]
    return made


def _figures(table: pa.Table, brought: int, dropped: int) -> dict[str, Any]:
    splits, kinds, sources, styles = (
        value_counts(table[name]) for name in ("split", "kind", "source", "style")
    )
    return {
        "queries": table.num_rows,
        "brought": brought,
        "made": table.num_rows - brought,
        "dropped": dropped,
        **{f"queries_{split}": splits.get(split, 0) for split in SPLITS},
        "kinds": kinds,
        "sources": sources,
        "styles": styles,
    }
