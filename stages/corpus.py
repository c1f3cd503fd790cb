"""lempo corpus

Read (or draw) every dataset, check every row, and write tables of images, scene graphs and queries.
"""

import logging
import time
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, QUERIES, REJECTS, SCENE_GRAPHS, SPLITS
from pipeline.base.tables import write_table
from pipeline.corpus.tables import Corpus
from stages.sources import check_source, read_source

_SHOWN = 3  # rejected rows in the message that there are too many

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `data/corpus`, `metrics/corpus.json` and `metrics/speed/corpus.json`.

    Raises:
        UserError: a dataset or one of its files cannot be used, or too many rows of a table are rejected.
    """
    folders = {dataset: Path(params.corpus.root) / dataset for dataset in params.datasets}
    for folder in folders.values():
        check_source(paths.root / folder)
    rejected: list[dict[str, Any]] = []
    metrics: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    errors: list[UserError] = []
    for dataset, folder in folders.items():
        start = time.perf_counter()
        image_folder = paths.corpus(dataset).relative_to(paths.root) / "images"
        corpus = read_source(folder, paths.root, image_folder, params.speed.workers, paths.cache)
        for line in corpus.repairs.lines():
            log.info(f"corpus {dataset}: {line}")
        write_table(corpus.images, paths.images(dataset), IMAGES)
        write_table(corpus.scene_graphs, paths.scene_graphs(dataset), SCENE_GRAPHS)
        write_table(corpus.queries, paths.queries(dataset), QUERIES)
        rejected += [{"dataset": dataset, **row} for row in corpus.rejects.rows]
        counts = metrics[dataset] = _counts(corpus)
        errors += _errors(corpus, paths.root / folder, params.corpus.max_reject_share)
        seconds[dataset] = time.perf_counter() - start
        log.info(
            f"corpus {dataset}: {counts['images']} images, {counts['graphs']} graphs, "
            f"{counts['queries']} queries, {len(corpus.rejects.rows)} rejects, {seconds[dataset]:.1f} s"
        )
    write_table(rejected, paths.rejects, REJECTS)
    total: Counter[str] = Counter()
    for counts in metrics.values():
        total.update({key: count for key, count in counts.items() if isinstance(count, int)})
    write_metrics(paths.metrics("corpus"), {**metrics, "all": dict(total)})
    if errors:
        raise errors[0]
    write_metrics(paths.speed("corpus"), {"seconds": seconds, "seconds_total": sum(seconds.values())})


def _counts(corpus: Corpus) -> dict[str, Any]:
    rejected = Counter(row["table"] for row in corpus.rejects.rows)
    splits = {
        f"{name}_{split}": table["split"].to_pylist().count(split)
        for name, table in (("images", corpus.images), ("queries", corpus.queries))
        for split in SPLITS
    }
    return {
        "images": corpus.images.num_rows,
        "graphs": corpus.scene_graphs.num_rows,
        "queries": corpus.queries.num_rows,
        "queries_with_edits": corpus.queries.num_rows - corpus.queries["edits"].null_count,
        "rejected_images": rejected["images"],
        "rejected_graphs": rejected["scene_graphs"],
        "rejected_queries": rejected["queries"],
        **splits,
        "kinds": dict(Counter(corpus.queries["kind"].to_pylist())),
        **corpus.counts,
        **corpus.repairs.metrics(),
    }


def _errors(corpus: Corpus, folder: Path, allowed: float) -> list[UserError]:
    """An error for each table of which too many rows were rejected, or that has no rows."""
    errors = []
    for name in ("images", "scene_graphs", "queries"):
        problems, seen = corpus.rejects.problems(name), corpus.rejects.seen[name]
        if len(problems) > allowed * seen:
            reason = (
                f"{len(problems)} of {seen} rows of {name} were rejected, more than the share {allowed:g} "
                f"that corpus.max_reject_share allows. The first: {'; '.join(map(str, problems[:_SHOWN]))}"
            )
            errors.append(UserError(reason, "All are in data/corpus/rejects.parquet", file=folder))
        elif not getattr(corpus, name).num_rows:
            errors.append(UserError(f"the dataset has no {name}", "Add some", file=folder))
    return errors
