"""lempo evaluate DATASET

Measures every method on the test split of one dataset; what a method chooses, it chooses on validation.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from pipeline.base.metrics_io import write_curve, write_metrics
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from pipeline.base.schemas import RANKINGS
from pipeline.base.tables import write_table

if TYPE_CHECKING:
    from pipeline.vision.texts import Texts
    from trainer.retrieval.ranking import Rankings, Scores
    from trainer.retrieval.similarity import QueryFeatures
    from trainer.retrieval.splits import Split

log = logging.getLogger(__name__)
CURVE_TO = 50  # the last K of the curves of recall at K


def run(params: Params, paths: Paths, dataset: str) -> None:
    """Write `data/rankings/<dataset>.parquet`, `metrics/` and `plots/evaluate/<dataset>`.

    Raises:
        UserError: a table, the features or a model is not there or does not fit the others, or a split is
            empty.
    """
    from pipeline.vision.features import read_features
    from pipeline.vision.texts import Texts
    from pipeline.vision.vlm import load_vlm
    from trainer.methods.registry import (
        COMPARATOR_INPUTS,
        METHODS,
        FrozenFeatures,
        comparator_scores,
        term_scores,
        triplet_alone,
    )
    from trainer.retrieval.metrics import recall_at
    from trainer.retrieval.ranking import dot_scores, rank_all
    from trainer.retrieval.similarity import QueryFeatures
    from trainer.retrieval.splits import load_splits
    from trainer.retrieval.weights import Choice
    from trainer.tuning.folder import read_record

    record = read_record(paths.tuned(dataset))
    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    features = read_features(paths.features(dataset), vlm.identity)
    removed = params.method.reference == "removed"
    loaded = load_splits(paths, dataset, features, ("train", "val", "test"), removed)
    train, val, test = (split.to(vlm.device) for split in loaded.values())
    texts = Texts.of(vlm, [text for split in loaded.values() for text in split.all_texts()])
    batch = params.speed.encode_batch
    known = FrozenFeatures(train, train.encode(vlm.model, texts, batch, COMPARATOR_INPUTS))
    validation = FrozenFeatures(val, val.encode(vlm.model, texts, batch, COMPARATOR_INPUTS))
    asked = FrozenFeatures(test, test.encode(vlm.model, texts, batch))
    untuned = QueryFeatures(test.image, **asked.text)
    del vlm  # one model in memory at a time
    tuned_val, tuned = _tuned_features(params, paths, dataset, (val, test), texts)
    spent = {"load_and_encode": time.perf_counter() - start}

    def scored() -> Iterator[tuple[str, "Scores"]]:
        yield from comparator_scores(known, validation, asked, params.comparators, params.seed)
        before, choice = Choice.of(record["untuned"]), Choice.of(record)
        yield "hybrid_untuned", dot_scores(before.queries(untuned), test.gallery)
        alone = triplet_alone(tuned_val, val, choice, params.method.choose)
        yield from term_scores(tuned, test.gallery, choice, alone)

    start = time.perf_counter()
    metrics, rows = {}, []
    curves: list[dict[str, Any]] = [{"k": k} for k in range(1, CURVE_TO + 1)]
    for method, scores in tqdm(scored(), total=len(METHODS), desc="evaluate", unit="method", disable=None):
        rankings = rank_all(scores, test.answers)
        metrics[method] = _metrics(method, test, rankings)
        rows += _rows(method, test, rankings)
        for point in curves:
            point[method] = recall_at(rankings.rank, point["k"])
    spent["rank"] = time.perf_counter() - start
    write_table(rows, paths.rankings(dataset), RANKINGS)
    write_metrics(paths.metrics("evaluate", dataset), metrics)
    write_curve(paths.plots("evaluate", dataset), curves)
    write_metrics(paths.speed(f"evaluate/{dataset}"), {"seconds": spent})
    hybrid = metrics["hybrid"]
    log.info("%s: hybrid R@1 %.1f, mean recall %.1f on test", dataset, hybrid["R@1"], hybrid["mean_recall"])


def _tuned_features(
    params: Params, paths: Paths, dataset: str, splits: Sequence["Split"], texts: "Texts"
) -> list["QueryFeatures"]:
    """The tuned encoder's features of each split's queries; its tokenizer is a copy, so tokens are kept."""
    from pipeline.vision.vlm import load_vlm

    folder = paths.tuned(dataset).relative_to(paths.root)
    source = VlmParams(model=f"local-dir:{folder}", pretrained=None, precision=params.vlm.precision)
    vlm = load_vlm(source, params.speed.device, paths.root)
    return [split.features(vlm.model, texts, params.speed.encode_batch) for split in splits]


def _metrics(method: str, test: "Split", rankings: "Rankings") -> dict[str, Any]:
    from trainer.methods.registry import USES_CAPTIONS
    from trainer.retrieval.metrics import retrieval_metrics

    metrics: dict[str, Any] = retrieval_metrics(rankings.rank, rankings.average_precision)
    if method in USES_CAPTIONS:
        metrics["missing_captions"] = test.missing_captions
    return metrics


def _rows(method: str, test: "Split", rankings: "Rankings") -> list[dict[str, Any]]:
    """Rows of the rankings table."""
    ids = test.gallery_ids
    return [
        {
            "query_id": query_id,
            "kind": kind,
            "method": method,
            "rank": rank,
            "average_precision": precision,
            "top": [ids[place] for place in top if place >= 0],
        }
        for query_id, kind, rank, precision, top in zip(
            test.query_ids,
            test.kinds,
            rankings.rank.tolist(),
            rankings.average_precision.tolist(),
            rankings.top.tolist(),
            strict=True,
        )
    ]
