"""A finished project of two small datasets, every table and metric of it made up, for the report."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.base.expected import Expected
from pipeline.base.files import sha256_file, write_json
from pipeline.base.metrics_io import metrics_hash, write_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import (
    IMAGES,
    INTERPRETATIONS,
    PSEUDO_CAPTIONS,
    QUERIES,
    RANKINGS,
    REJECTS,
    SCENE_GRAPHS,
)
from pipeline.base.tables import write_table
from pipeline.vision.features import write_features
from tests.belonging import ROOT, sign

METHODS = ("chance", "image_only", "image_plus_text", "pseudo_caption", "hybrid_untuned", "hybrid")
KINDS = ("add", "move")
IDENTITY = {"model": "local-dir:model", "weights_sha256": "ab12", "pretrained": None, "precision": "fp32"}


def results_params(datasets: tuple[str, ...], queries: int = 30, pictures: int = 4000) -> Params:
    """The parameters that the results are made up for."""
    raw = load_params(ROOT / "params.yaml").model_dump()
    vlm = {"model": "local-dir:model", "pretrained": None, "precision": "fp32"}
    return Params.model_validate(
        {**raw, "datasets": datasets, "vlm": vlm, "report": {"queries": queries, "pictures": pictures}}
    )


def make_results(paths: Paths, datasets: tuple[str, ...], text: str = "a red roof", queries: int = 6) -> None:
    """Write everything that the report reads; `text` stands wherever a text can stand."""
    for dataset in datasets:
        _make_dataset(paths, dataset, text, queries)
    counts = {f"{name}_{split}": 7 for name in ("images", "queries") for split in ("train", "val", "test")}
    counts |= dict.fromkeys(("images", "graphs", "queries", "split_assumed"), 21)
    counts |= dict.fromkeys(("rejected_images", "rejected_graphs", "rejected_queries"), 1)
    write_metrics(paths.metrics("corpus"), dict.fromkeys(datasets, counts))
    counts = {"rows": 7, "failed": 0, "over_clip_context": 1}
    for stage, recall in (("interpret", 0.987), ("caption", None)):
        quality = {"texts": 7, "truncated": 0, "fact_recall": recall}
        groups = {
            writer: quality | {"all_right_rate": share}
            for writer, share in (("first", 0.124), ("model", 0.235), ("final", 0.346), ("brought", None))
        }
        write_metrics(paths.metrics(stage), dict.fromkeys(datasets, counts | groups))
        write_metrics(paths.summary(stage), {stage: {"all_right_rate": 0.346}})
    write_metrics(paths.summary("corpus"), {"corpus": {"images": 42, "rejected": 1}})
    write_metrics(paths.summary("pairs"), {"pairs": {"queries": 42}})
    write_metrics(
        paths.metrics("embed"),
        {"model": IDENTITY},
    )
    reject = {"table": "queries", "file": text, "row": 1, "record_id": text, "field": "target", "value": text}
    params = results_params(datasets)
    for dataset in datasets:
        sign(params, paths, dataset)
    rejects = [{"dataset": datasets[0], **reject, "reason": text, "remedy": "Mend it"}]
    made_from = Expected(params, paths).rejects() | {"metrics": metrics_hash(paths.metrics("corpus"))}
    write_table(rejects, paths.rejects, REJECTS, made_from)
    card = paths.root / "model/README.md"
    card.parent.mkdir(parents=True, exist_ok=True)
    card.write_text(f"---\nlicense: x\n---\n# A model\n\nIt has seen nothing. {text}\n\nMore.")


def _make_dataset(paths: Paths, dataset: str, text: str, count: int) -> None:
    ids = [f"image-{i:02}" for i in range(count + 4)]
    images, queries = [], []
    for i, image_id in enumerate(ids):
        file = paths.root / f"pictures/{dataset}-{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((40, 60, 3), 9 * i % 256, np.uint8)).save(file)
        images.append(
            {
                "image_id": image_id,
                "split": "test",
                "path": str(file.relative_to(paths.root)),
                "sha256": sha256_file(file),
            }
            | {"width": 60, "height": 40, "family": None}
        )
    for i in range(count):
        queries.append(
            {
                "query_id": f"q{i}",
                "split": "test",
                "reference_id": ids[i],
                "target_id": ids[i + 1],
                "edits": None,
            }
            | {"target_ids": [ids[i + 1]], "modification": text, "kind": KINDS[i % 2], "family": None}
        )
    made_from = {"dataset": dataset}
    write_table(images, paths.images(dataset), IMAGES, made_from)
    write_table(queries, paths.queries(dataset), QUERIES, made_from)
    write_table(_graphs(ids, text), paths.scene_graphs(dataset), SCENE_GRAPHS, made_from)
    vectors = np.eye(len(ids), dtype=np.float16)
    sha256 = [image["sha256"] for image in images]
    write_features(
        paths.features(dataset),
        ids,
        sha256,
        [vectors],
        dimension=len(ids),
        dtype="float16",
        made_from=IDENTITY | made_from,
    )
    captioned: dict[str, Any] = {"status": "ok", "source": "first", "model": "model", "prompt_hash": "cd34"}
    captioned |= {"row_key": "0", "text": text, "missed": [text], "invented": []}
    captioned |= {"summarised": False, "alternatives": []}
    write_table(
        [{"image_id": image_id, **captioned} for image_id in ids],
        paths.interpretations(dataset),
        INTERPRETATIONS,
        made_from,
    )
    rows = [{"query_id": query["query_id"], **captioned} for query in queries]
    rows[0] |= {"text": None, "status": "failed", "error": "out of luck"}
    write_table(rows, paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, made_from)
    rankings = [
        {"query_id": f"q{i}", "kind": KINDS[i % 2], "method": method, "rank": 1 + (place + i) % 4}
        | {"average_precision": 0.5, "top": [ids[(i + k) % len(ids)] for k in range(1, 7)]}
        | {"scores": [1 - k / 10 for k in range(1, 7)], "shares": _shares(method)}
        for place, method in enumerate(METHODS)
        for i in range(count)
    ]
    write_table(rankings, paths.rankings(dataset), RANKINGS, made_from)
    measures = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
    write_metrics(
        paths.metrics("evaluate", dataset),
        {
            method: {m: 10.0 * place + k for k, m in enumerate(measures)}
            for place, method in enumerate(METHODS)
        },
    )
    write_metrics(
        paths.metrics("tune", dataset),
        {
            "weights": {"triplet": 0.25},
            "mixture": {"image": 0.5},
            "temperature": 0.03,
            "best_epoch": 2,
            "epochs": 3,
            "validation": {"tuned": {"R@1": 40.0, "R@5": 60.0}},
        },
    )
    write_metrics(paths.summary("tune", dataset), {dataset: {"val_mean_recall": 50.0}})
    write_metrics(paths.summary("evaluate", dataset), {dataset: {"R@1": 40.0}})
    record = {"weights": {}, "mixture": {}, "untuned": {}, "made_from": {}, "content": {}}
    write_json(paths.tuned(dataset) / "lempo.json", record | {"versions": {"torch": "9.8.7"}})
    curve = paths.plots("tune", dataset)
    curve.parent.mkdir(parents=True, exist_ok=True)
    curve.write_text("epoch,train_loss,val_mean_recall\n0,,40\n1,2.5,45.5\n2,1.5,50\n3,1.2,48\n")


def _graphs(ids: list[str], text: str) -> list[dict[str, Any]]:
    """Every other graph has boxes; the last image has none."""
    box = {"x": 6.0, "y": 10.0, "w": 12.0, "h": 8.0}
    return [
        {"image_id": image_id, "width": 60, "height": 40, "scene": text}
        | {
            "objects": [
                {"object_id": 7, "name": text, "attributes": ["red"], "bbox": None if i % 2 else box},
                {"object_id": 3, "name": "tree", "attributes": ["top left"], "bbox": None},
            ],
            "relationships": [{"subject_id": 3, "predicate": text, "object_id": 7}],
        }
        for i, image_id in enumerate(ids[:-1])
    ]


def _shares(method: str) -> list[dict[str, float]] | None:
    if not method.startswith("hybrid"):
        return None
    return [{"triplet": 0.5, "language": 0.1, "pseudo_caption": 0.4 - k / 10} for k in range(1, 7)]


def main(folder: str) -> None:
    """`python -m tests.stages.results FOLDER`: a project to look at with `lempo report`."""
    make_results(Paths(Path(folder)), ("airplane", "tennis", "mixed"), queries=20)
