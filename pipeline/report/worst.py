"""The worst captions: those that failed, then those that miss or invent most."""

from dataclasses import dataclass

import polars as pl

from pipeline.base.expected import Expected
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS
from pipeline.base.tables import read_batches
from pipeline.report.gallery import said

_COLUMNS = ["text", "status", "error", "fact_recall", "missed", "invented"]


@dataclass(frozen=True)
class Worst:
    """One text; `fact_recall` is a share, or None where it is not known."""

    dataset: str
    id: str
    text: str
    fact_recall: float | None
    missed: list[str]
    invented: list[str]


def worst_captions(expected: Expected, dataset: str, kind: str, count: int) -> list[Worst]:
    """Up to `count` texts of a dataset that failed, or that state a wrong fact or miss one.

    Args:
        kind: interpretations or pseudo_captions.
    """
    schema, key = (
        (INTERPRETATIONS, "image_id") if kind == "interpretations" else (PSEUDO_CAPTIONS, "query_id")
    )
    file, expect = getattr(expected.paths, kind)(dataset), getattr(expected, kind)(dataset)
    failed, wrong = pl.col("status") == "failed", pl.col("missed", "invented").list.len().fill_null(0)
    worst: list[pl.DataFrame] = []  # of the batches so far
    for batch in read_batches(file, schema, [key, *_COLUMNS], expect):
        bad = pl.DataFrame(batch).filter(failed | (pl.sum_horizontal(wrong) > 0))
        first = pl.concat([*worst, bad]).sort(
            ~failed,
            pl.col("fact_recall").fill_null(1.0),
            -pl.col("invented").list.len().fill_null(0).cast(pl.Int64),
            key,
        )
        worst = [first.head(count)]
    return [
        Worst(dataset, row[key], said(row), row["fact_recall"], row["missed"] or [], row["invented"] or [])
        for rows in worst
        for row in rows.iter_rows(named=True)
    ]
