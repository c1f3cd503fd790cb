"""lempo pairs

Write the queries that every later stage reads.
"""

import logging
from collections import Counter
from typing import Any

import pyarrow as pa

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS, QUERIES, SPLITS
from pipeline.base.tables import read_table, write_table

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `data/pairs/<dataset>.parquet` and `metrics/pairs.json`.

    Raises:
        UserError: a table of the corpus is missing or does not belong to the others.
    """
    expected = Expected(params, paths)
    metrics: dict[str, dict[str, Any]] = {}
    for dataset in params.datasets:
        queries = read_table(paths.queries(dataset), QUERIES, expect=expected.corpus(dataset))
        write_table(brought(queries), paths.pairs(dataset), PAIRS, expected.pairs(dataset))
        metrics[dataset] = _figures(queries)
        log.info(f"pairs {dataset}: {queries.num_rows} queries brought")
    write_metrics(paths.metrics("pairs"), metrics)


def brought(queries: pa.Table) -> pa.Table:
    """Queries of the corpus as rows of the table of all queries."""
    styles = pa.nulls(queries.num_rows, pa.string())
    sources = pa.repeat(pa.scalar("brought"), queries.num_rows)
    return queries.append_column("style", styles).append_column("source", sources)


def _figures(queries: pa.Table) -> dict[str, Any]:
    splits = queries["split"].to_pylist()
    return {
        "brought": queries.num_rows,
        **{f"queries_{split}": splits.count(split) for split in SPLITS},
        "kinds": dict(Counter(queries["kind"].to_pylist())),
    }
