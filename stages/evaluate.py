"""lempo evaluate DATASET

Measures every method on the test split of one dataset; what a method chooses, it chooses on validation.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from pipeline.base.described import column, described
from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import metrics_hash, write_curve, write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from pipeline.base.schemas import RANKINGS
from pipeline.base.tables import write_table
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import load_vlm
from trainer.methods import registry
from trainer.methods.recipes import FitData, FrozenFeatures
from trainer.methods.terms import term_scores, top_shares
from trainer.retrieval.answers import NONE
from trainer.retrieval.metrics import recall_at, retrieval_metrics
from trainer.retrieval.ranking import Rankings, dot_scores, queries_at_once, rank_all
from trainer.retrieval.similarity import TERMS, QueryFeatures
from trainer.retrieval.splits import Split, load_splits, tokens_hash
from trainer.retrieval.weights import Choice
from trainer.tuning.folder import read_record, tuned_provenance

log = logging.getLogger(__name__)
CURVE_TO = 50  # the last K of the curves of recall at K
SCORE_DIGITS = 4  # decimal places in the table; the last digits of a score depend on the number of threads


def curve() -> pa.Schema:
    """The columns of `plots/evaluate/<dataset>.csv`: one for each method of the registry."""
    return described(
        "recall_curves",
        "evaluate",
        "k",
        "Recall at K of every method on the test split.",
        column("k", pa.int64(), f"K: the first images that count, from 1 to {CURVE_TO}", 1),
        *(
            column(
                method.name,
                pa.float64(),
                "share of the queries with a right answer among the first `k` images, by this method",
                80.222222,
                unit="percent",
            )
            for method in registry.METHODS
        ),
    )


def run(params: Params, paths: Paths, dataset: str) -> None:
    """Write `data/rankings/<dataset>.parquet`, `metrics/` and `plots/evaluate/<dataset>`.

    Raises:
        UserError: a table, the features or a model is missing or does not fit the others, or a split is
            empty.
    """
    expected = Expected(params, paths)
    tuned_provenance(paths.tuned(dataset), expected.tuned(dataset))  # before anything is loaded
    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    features = read_features(paths.features(dataset), expected.features(dataset, vlm.identity))
    removed = params.method.reference == "removed"
    loaded = load_splits(expected, dataset, features, ("train", "val", "test"), removed)
    train, validation, test = (split.to(vlm.device) for split in loaded.values())
    texts = Texts.of(vlm, [text for split in loaded.values() for text in split.all_texts()])
    tuned_from = expected.tuned(dataset) | {
        "vlm": identity_hash(vlm.identity),
        "tokens": tokens_hash({name: loaded[name] for name in ("train", "val")}, texts),
    }
    record = read_record(paths.tuned(dataset), tuned_from)
    batch, inputs = params.speed.encode_batch, registry.comparator_inputs()
    at_once = queries_at_once(len(test.stored), params.speed.rank_mib)
    known, choosing = (
        FrozenFeatures(split, split.encode(vlm.model, texts, batch, inputs)) for split in (train, validation)
    )
    fit_data = FitData(known, choosing, params.comparators, params.seed)
    frozen = FrozenFeatures(test, test.encode(vlm.model, texts, batch))
    del vlm  # one model in memory at a time
    tuned = _tuned_features(params, paths, dataset, (validation, test), texts)
    spent = {"load_and_encode": time.perf_counter() - start}

    start = time.perf_counter()
    choice = Choice.of(record)
    sums = {  # the methods whose score is a sum of the three similarities
        "hybrid_untuned": (QueryFeatures(test.image, **frozen.text), Choice.of(record["untuned"])),
        "hybrid": (tuned[1], choice),
    }
    untuned, weighting = sums["hybrid_untuned"]
    ours = {
        "hybrid_untuned": dot_scores(weighting.queries(untuned), test.stored),
        **term_scores((validation, test), tuned, choice, params.method.choose),
    }
    metrics: dict[str, dict[str, float]] = {}
    rows: list[pa.Table] = []
    curves: list[dict[str, Any]] = [{"k": k} for k in range(1, CURVE_TO + 1)]
    for method in Progress(registry.METHODS, title=f"evaluate {dataset}", unit="method"):
        recipe = method.recipe
        scores = recipe.fit(method.inputs, fit_data).scores(frozen) if recipe else ours[method.name]
        rankings = rank_all(scores, test.answers, chunk=at_once)
        metrics[method.name] = retrieval_metrics(rankings.rank, rankings.average_precision)
        if method.reads_captions:
            metrics[method.name]["missing_captions"] = test.missing_captions
        shares = None
        if method.name in sums:
            summed, weighting = sums[method.name]
            shares = top_shares(summed, test.stored, rankings.top, weighting, batch)
        rows.append(_rows(method.name, test, rankings, shares))
        for point in curves:
            point[method.name] = recall_at(rankings.rank, point["k"])
    spent["rank"] = time.perf_counter() - start
    write_metrics(paths.metrics("evaluate", dataset), metrics)
    hybrid = metrics["hybrid"]
    summary = {name: hybrid[name] for name in ("R@1", "mean_recall")}
    write_metrics(paths.summary("evaluate", dataset), {dataset: summary})
    made_from = expected.rankings(dataset) | {
        "vlm": tuned_from["vlm"],
        "tuned": tuned_provenance(paths.tuned(dataset)).hash,
        "metrics": metrics_hash(paths.metrics("evaluate", dataset)),
        "metrics of tune": metrics_hash(paths.metrics("tune", dataset)),
    }
    write_table(pa.concat_tables(rows), paths.rankings(dataset), RANKINGS, made_from)
    write_curve(paths.plots("evaluate", dataset), curves, curve())
    write_metrics(
        paths.speed(f"evaluate/{dataset}"), {"seconds": spent, "queries": sum(map(len, loaded.values()))}
    )
    log.info("%s: hybrid R@1 %.1f, mean recall %.1f on test", dataset, hybrid["R@1"], hybrid["mean_recall"])


def _tuned_features(
    params: Params, paths: Paths, dataset: str, splits: Sequence[Split], texts: Texts
) -> list[QueryFeatures]:
    """The tuned encoder's features of each split's queries; its tokenizer is a copy, so the tokens stay."""
    folder = paths.tuned(dataset).relative_to(paths.root)
    source = params.vlm.model_copy(update={"model": f"local-dir:{folder}", "pretrained": None})
    vlm = load_vlm(source, params.speed.device, paths.root)
    return [split.features(vlm.model, texts, params.speed.encode_batch) for split in splits]


def _rows(method: str, test: Split, rankings: Rankings, shares: Tensor | None) -> pa.Table:
    """Rows of the rankings table, made column by column: an object for each score would take much memory.

    `shares` is as of `top_shares`; None for a method whose score is no sum of similarities.
    """
    top = rankings.top.numpy()
    there = top != NONE  # the images that there are come first
    ends = np.append(0, np.cumsum(there.sum(1), dtype=np.int32))
    images = pa.array(test.gallery_ids, pa.string()).take(pa.array(top[there]))
    scores = rankings.scores.numpy()[there].round(SCORE_DIGITS) + 0.0  # one zero of the two
    return pa.table(
        {
            "query_id": test.query_ids,
            "kind": test.kinds,
            "method": [method] * len(test),
            "rank": rankings.rank.numpy(),
            "average_precision": rankings.average_precision.numpy(),
            "top": pa.ListArray.from_arrays(ends, images),
            "scores": pa.ListArray.from_arrays(ends, scores),
            "shares": _shares(shares, there, ends),
        }
    )


def _shares(shares: Tensor | None, there: np.ndarray, ends: np.ndarray) -> pa.Array:
    """One list of structs for each query, or nulls."""
    kind = RANKINGS.field("shares").type
    if shares is None:
        return pa.nulls(len(there), kind)
    parts = shares.numpy()[there].round(SCORE_DIGITS) + 0.0  # (M, 3)
    values = pa.StructArray.from_arrays([parts[:, place] for place in range(len(TERMS))], list(TERMS))
    return pa.ListArray.from_arrays(ends, values).cast(kind)
