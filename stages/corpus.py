"""lempo corpus

Read (or draw) every dataset, check every row, and write tables of images, scene graphs, queries and the
captions that people bring.
"""

import gc
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import metrics_hash, write_metrics
from pipeline.base.params import CorpusParams, Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import REJECTS, SPLITS
from pipeline.base.tables import value_counts, write_table
from pipeline.corpus.captions import with_captions
from pipeline.corpus.near_duplicates import across_splits
from pipeline.corpus.tables import Corpus
from stages.sources import brought, check_source, read_source

_SHOWN = 3  # rejected rows in the message that there are too many
_NEW_OBJECTS = (
    100_000  # after which Python looks for unreachable cycles among them; 700 unless told otherwise
)

log = logging.getLogger(__name__)


def run(params: Params, paths: Paths) -> None:
    """Write `data/corpus`, `metrics/corpus.json` and `metrics/speed/corpus.json`.

    Raises:
        UserError: a dataset or one of its files cannot be used, or too many rows of a table are rejected:
            then the rejects and the figures are the only files that stay.
    """
    folders = {dataset: Path(params.corpus.root) / dataset for dataset in params.datasets}
    for folder in folders.values():
        check_source(paths.root / folder)
    rejected: list[dict[str, Any]] = []
    metrics: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    unreadable: list[UserError] = []
    errors: list[UserError] = []
    expected = Expected(params, paths)
    for dataset, folder in folders.items():
        start = time.perf_counter()
        image_folder = paths.corpus(dataset).relative_to(paths.root) / "images"
        try:
            with _few_searches_for_cycles():
                corpus = read_source(folder, paths.root, image_folder, params, paths.cache)
                corpus = with_captions(corpus, paths.root / folder)
        except UserError as error:
            unreadable.append(error)  # what is wrong with the other datasets is said too
            continue
        _count_equal_images(corpus)
        _count_near_duplicates(corpus)
        for line in corpus.notes.lines():
            log.info(f"corpus {dataset}: {line}")
        rejected += [{"dataset": dataset, **row} for row in corpus.rejects.rows]
        counts = metrics[dataset] = _counts(corpus)
        found = _errors(corpus, paths.root / folder, params.corpus)
        errors += found
        table = corpus.rejects.rows[0]["table"] if corpus.rejects.rows else None
        if table and not _rejects_too_many(corpus, table, params.corpus):
            first = corpus.rejects.problems(table)[0]  # it may be the cause of those in the errors
            log.info(f"corpus {dataset}: the first reject: {first}. All are in {paths.rejects}")
        if found:
            expected.remove_corpus(dataset)  # no later stage shall take an older one for this one
            continue
        expected.write_corpus(dataset, corpus.images, corpus.scene_graphs, corpus.queries, corpus.captions)
        seconds[dataset] = time.perf_counter() - start
        log.info(
            f"corpus {dataset}: {counts['images']} images, {counts['graphs']} graphs, "
            f"{counts['queries']} queries, {len(corpus.rejects.rows)} rejects, {seconds[dataset]:.1f} s"
        )
    if unreadable:
        raise _all_said([*unreadable, *errors])
    total: Counter[str] = Counter()
    for counts in metrics.values():
        total.update({key: count for key, count in counts.items() if isinstance(count, int)})
    write_metrics(paths.metrics("corpus"), {**metrics, "all": dict(total)})
    summary = {"images": total["images"], "rejected": len(rejected)}
    write_metrics(paths.summary("corpus"), {"corpus": summary})
    made_from = ({} if errors else expected.rejects()) | {"metrics": metrics_hash(paths.metrics("corpus"))}
    write_table(rejected, paths.rejects, REJECTS, made_from)
    if errors:
        for dataset in params.datasets:
            expected.remove_corpus(dataset)  # no later stage shall take them for whole
        raise _all_said(errors)
    write_metrics(paths.speed("corpus"), {"seconds": seconds, "seconds_total": sum(seconds.values())})


@contextmanager
def _few_searches_for_cycles() -> Iterator[None]:
    """Rows are read by the million, and hardly one is in a cycle: the searches took a fifth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _all_said(errors: list[UserError]) -> UserError:
    """The first error; the others go into the log."""
    for error in errors[1:]:
        log.error("%s", error)
    return errors[0]


def _counts(corpus: Corpus) -> dict[str, Any]:
    rejected = Counter(row["table"] for row in corpus.rejects.rows)
    splits = {
        f"{name}_{split}": counts.get(split, 0)
        for name, table in (("images", corpus.images), ("queries", corpus.queries))
        for counts in [value_counts(table["split"])]
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
        **_brought(corpus),
        **splits,
        "kinds": value_counts(corpus.queries["kind"]),
        **corpus.counts,
        **corpus.notes.metrics(),
        # pictures that were drawn are not compared
        **({"near_duplicates_across_splits": None} if corpus.alike is None else {}),
    }


def _brought(corpus: Corpus) -> dict[str, int]:
    """How many captions a person brings, where there are any."""
    if not corpus.rejects.seen["captions"]:
        return {}
    brought = value_counts(corpus.captions["for"])
    rejected = len(corpus.rejects.problems("captions"))
    return {
        "brought_interpretations": brought.get("interpretation", 0),
        "brought_pseudo_captions": brought.get("pseudo_caption", 0),
        "rejected_captions": rejected,
    }


def _count_equal_images(corpus: Corpus) -> None:
    """Count images with equal bytes: copies within a split, and files that stand in several splits."""
    images = pl.DataFrame(corpus.images.select(["sha256", "split", "image_id"]))
    equal = images.group_by("sha256", maintain_order=True).agg("split", "image_id")
    for _, splits, ids in equal.filter(pl.col("image_id").list.len() > 1).iter_rows():
        names = ", ".join(f"'{id}' ({split})" for split, id in islice(zip(splits, ids, strict=True), _SHOWN))
        if len(ids) > len(set(splits)):
            corpus.notes.count("repeated_images", len(ids) - len(set(splits)), names)
        if len(set(splits)) > 1:
            corpus.notes.count("shared_images", 1, names)


def _count_near_duplicates(corpus: Corpus) -> None:
    splits = {}
    if corpus.alike:
        splits = dict(zip(*(corpus.images[name].to_pylist() for name in ("image_id", "split")), strict=True))
    count, shown = across_splits(corpus.alike or [], splits)
    corpus.notes.count("near_duplicates_across_splits", count, "; ".join(shown))


def _nothing(name: str, corpus: Corpus, folder: Path) -> UserError:
    tiles = sum(corpus.notes.counts[kind] for kind in ("tiles_empty", "tiles_cut", "tiles_few_or_many"))
    if name == "images" and tiles:
        reason = f"the dataset has no images: each of its {tiles} tiles was left out, for reasons in the log"
        remedy = "Change corpus.tile_size, corpus.tile_drop_cut or corpus.tile_objects"
        return UserError(reason, remedy, file=folder)
    return UserError(f"the dataset has no {name}", "Add some", file=folder)


def _rejects_too_many(corpus: Corpus, table: str, params: CorpusParams) -> bool:
    return len(corpus.rejects.problems(table)) > params.max_reject_share * corpus.rejects.seen[table]


def _errors(corpus: Corpus, folder: Path, params: CorpusParams) -> list[UserError]:
    """Errors for tables without rows or with too many rejects, and for images or places in several splits."""
    errors, needed = [], brought(folder)
    for name in ("images", "scene_graphs", "queries", "captions"):
        if _rejects_too_many(corpus, name, params):
            problems, seen = corpus.rejects.problems(name), corpus.rejects.seen[name]
            reason = (
                f"{len(problems)} of {seen} rows of {name} were rejected, more than the share "
                f"{params.max_reject_share:g} that corpus.max_reject_share allows. "
                f"The first: {'; '.join(map(str, problems[:_SHOWN]))}"
            )
            errors.append(UserError(reason, "All are in data/corpus/rejects.parquet", file=folder))
        elif name in needed and not getattr(corpus, name).num_rows:
            errors.append(_nothing(name, corpus, folder))
    if (shared := corpus.notes.counts["shared_images"]) and not params.allow_shared_images:
        reason = (
            f"image files that stand in more than one split, byte for byte: {shared}. "
            f"A tested image would be known from training. The first: {corpus.notes.first['shared_images']}"
        )
        remedy = "Keep each image in one split, or set corpus.allow_shared_images to true"
        errors.append(UserError(reason, remedy, file=folder))
    if (shared := corpus.notes.counts["shared_places"]) and not params.allow_shared_places:
        reason = (
            f"places whose images are stated in more than one split: {shared}. "
            f"A tested place would be known from training. The first: {corpus.notes.first['shared_places']}"
        )
        remedy = "Keep each place in one split, or set corpus.allow_shared_places to true"
        errors.append(UserError(reason, remedy, file=folder))
    return errors
