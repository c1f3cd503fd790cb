"""Recall from the rankings: with intervals, by kind of modification, and at every K."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.base.errors import reading
from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import metrics_hash, read_metrics
from pipeline.base.provenance import remedy
from pipeline.base.schemas import PAIRS, RANKINGS
from pipeline.base.tables import read_table

RECALLS = (1, 5, 10, 50)
_Z = 1.959964  # of a normal distribution, for 95%


@dataclass(frozen=True)
class Recall:
    """Percent of the queries with a right answer among the first K, and its 95% interval, if there is one."""

    value: float
    low: float | None
    high: float | None


def rankings(expected: Expected, dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
    """The rankings of a dataset, which must be those of the metrics and of the tables shown beside them."""
    return read_table(expected.paths.rankings(dataset), RANKINGS, columns, shown_rankings(expected, dataset))


def shown_rankings(expected: Expected, dataset: str) -> dict[str, Any]:
    """What rankings must be made from that stand beside metrics and tables."""
    paths = expected.paths
    embedded = paths.metrics("embed")
    with reading(embedded, remedy("embed"), "the figures are not what the stage writes"):
        vlm = identity_hash(read_metrics(embedded).get("model", {}))
    return expected.rankings(dataset) | {
        "vlm": vlm,
        "metrics": metrics_hash(paths.metrics("evaluate", dataset)),
        "metrics of tune": metrics_hash(paths.metrics("tune", dataset)),
    }


def ranks(expected: Expected, dataset: str) -> pl.DataFrame:
    """`method`, `kind`, `rank` and `family` of every query and method.

    Queries of one family are not independent. Where the source names no family, the reference stands for it.
    """
    table = pl.DataFrame(rankings(expected, dataset, ["query_id", "kind", "method", "rank"]))
    columns = ["query_id", "reference_id", "family"]
    pairs = pl.DataFrame(read_table(expected.paths.pairs(dataset), PAIRS, columns, expected.pairs(dataset)))
    families = pairs.select("query_id", family=pl.coalesce("family", "reference_id"))
    return table.join(families, "query_id", "left").select("method", "kind", "rank", "family")


def recalls(ranks: pl.DataFrame, ks: Sequence[int] = RECALLS) -> dict[str, dict[int, Recall]]:
    """Recall at each K of every method, with Wilson's interval for the effective number of queries.

    The number of queries is divided by the design effect: the variance of the recall between families, by
    linearisation, over that of independent queries; it is at least 1. With one family there is no interval.

    Args:
        ranks: as `ranks` gives them.
    """
    found: dict[str, dict[int, Recall]] = {}
    for k in ks:
        families = ranks.group_by("method", "family").agg(
            n=pl.len().cast(pl.Float64), hits=(pl.col("rank") <= k).sum()
        )
        n, recall = pl.col("n").sum(), pl.col("hits").sum() / pl.col("n").sum()
        deviation = ((pl.col("hits") - recall * pl.col("n")) ** 2).sum() / n**2
        methods = families.group_by("method").agg(
            n=n, recall=recall, count=pl.len(), spread=deviation * pl.len() / (pl.len() - 1)
        )
        for row in methods.sort("method").iter_rows(named=True):
            interval: tuple[float | None, float | None] = (None, None)
            if row["count"] > 1:
                interval = _wilson(row["recall"], row["n"], row["spread"])
            found.setdefault(row["method"], {})[k] = Recall(100 * row["recall"], *interval)
    return found


def _wilson(share: float, n: int, variance: float) -> tuple[float, float]:
    """Wilson's 95% interval in percent, for as many independent queries as the variance stands for."""
    independent = share * (1 - share) / n
    effective = n / max(1.0, variance / independent) if independent > 0 else float(n)
    centre = (share + _Z**2 / (2 * effective)) / (1 + _Z**2 / effective)
    half = _Z / (1 + _Z**2 / effective)
    half *= (share * (1 - share) / effective + _Z**2 / (4 * effective**2)) ** 0.5
    return 100 * max(0.0, centre - half), 100 * min(1.0, centre + half)


@dataclass(frozen=True)
class Kinds:
    """Recall in percent by kind: `names` and `queries` of the kinds, and K -> method -> one value a kind."""

    names: list[str]
    queries: list[int]
    recall: dict[int, dict[str, list[float]]]


def by_kind(ranks: pl.DataFrame, ks: Sequence[int] = (1, 5, 10)) -> Kinds:
    """Recall of every method for each kind of modification."""
    share = [(100 * (pl.col("rank") <= k).mean()).alias(str(k)) for k in ks]
    table = ranks.group_by("method", "kind").agg(*share, queries=pl.len()).sort("method", "kind")
    counts = table.unique("kind").sort("kind")
    return Kinds(
        counts["kind"].to_list(),
        counts["queries"].to_list(),
        {
            k: {str(method): rows[str(k)].to_list() for (method,), rows in table.group_by("method")}
            for k in ks
        },
    )


def at_every_k(ranks: pl.DataFrame, to: int) -> dict[str, list[float]]:
    """Recall in percent of every method at K = 1 to `to`."""
    share = [(100 * (pl.col("rank") <= k).mean()).alias(str(k)) for k in range(1, to + 1)]
    table = ranks.group_by("method").agg(share).sort("method")
    return {str(row[0]): list(row[1:]) for row in table.iter_rows()}
