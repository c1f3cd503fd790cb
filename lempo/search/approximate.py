"""The approximate index of a large archive, and its recall against a search that compares every image."""

import logging
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from lempo.search.database import Database
from pipeline.base.progress import Progress

log = logging.getLogger(__name__)

FROM_ROWS = 50_000  # below, a search that compares every image takes some tens of milliseconds
LEAST_RECALL = 0.95
PARTITION_ROWS = 12_500
GROWN = 0.1  # the share of other rows from which on the index is built anew
_K, _SAMPLED = 10, 50
_TRIED = ((8, 100, 4), (16, 200, 4), (32, 400, 8), (64, 800, 10))  # probes, ef, refine: slower and better


def brought_up(database: Database, known: dict[str, Any] | None, changed: int) -> dict[str, Any] | None:
    """The record of the approximate index, built anew if there is none yet or too many rows are others.

    Args:
        known: the record so far.
        changed: how many rows were added, changed or removed since it was made, this run's included.

    Returns:
        `kind`, `rows`, `partitions`, `probes`, `ef`, `refine`, `recall_at_10`, `seconds`, `used`; None where
        the table is small. It is not `used` if no setting has a recall of `LEAST_RECALL`.
    """
    rows = len(database)
    if rows < FROM_ROWS:
        return None
    if known is not None and changed <= GROWN * known["rows"]:
        return {**known, "changed": changed}
    start, partitions = time.perf_counter(), max(1, round(rows / PARTITION_ROWS))
    log.info("index: an approximate index of %d images is built; it takes about a minute for 100,000", rows)
    _build(database, rows, partitions)
    record = {"kind": "IVF_HNSW_SQ", "rows": rows, "partitions": partitions, "changed": 0}
    queries = _queries(database)
    exact = [_ids(database, query) for query in _shown(queries, "index: exact search")]
    for probes, ef, refine in _TRIED:
        setting = {"probes": min(probes, partitions), "ef": ef, "refine": refine}
        shown = _shown(queries, f"index: {setting['probes']} of {partitions} partitions")
        found = [_ids(database, query, setting) for query in shown]
        shares = [len(a & b) / max(1, len(b)) for a, b in zip(found, exact, strict=True)]
        recall = min(float(np.mean(shares[:_SAMPLED])), float(np.mean(shares[_SAMPLED:])))
        record |= {**setting, "recall_at_10": round(recall, 4), "used": recall >= LEAST_RECALL}
        if record["used"]:
            break
    record["seconds"] = round(time.perf_counter() - start, 1)
    log.info(
        "index: recall at 10 of the approximate index is %.3f against exact search%s",
        record["recall_at_10"],
        "" if record["used"] else f", below {LEAST_RECALL}: it is not used",
    )
    return record


def _build(database: Database, rows: int, partitions: int) -> None:
    with Progress(total=rows, title="index: build", unit="image") as progress:
        # it moves by whole partitions: the rate is the mean since the start, and time is shown between two
        progress.smoothing, progress.dynamic_miniters = 0, False

        def moved(done: int) -> None:
            progress.update(done - progress.n)

        database.make_approximate(rows // partitions, moved)
        progress.update(rows - progress.n)


def _shown(queries: np.ndarray, title: str) -> Iterable[np.ndarray]:
    return Progress(queries, title=title, unit="vector", leave=False)


def _queries(database: Database) -> np.ndarray:
    """Vectors (2 * _SAMPLED, D): some images', then sums of two images' less a third one's.

    The latter are like composed queries, which lie where there are no images.
    """
    a, b, c = np.split(database.sample(3 * _SAMPLED), 3)
    return np.concatenate([a, a + b - c])


def _ids(database: Database, vector: np.ndarray, setting: dict[str, int] | None = None) -> set[str]:
    return {row["image_id"] for row in database.nearest(vector, _K, approximate=setting)[0]}
