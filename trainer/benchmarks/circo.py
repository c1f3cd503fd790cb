"""CIRCO (Baldrati et al., ICCV 2023): queries with several right answers among COCO's unlabelled images.

Under ROOT: `annotations/<split>.json`, `COCO2017_unlabeled/annotations/image_info_unlabeled2017.json` and the
images in `COCO2017_unlabeled/unlabeled2017/`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from trainer.benchmarks.figures import average_precision_at, count_right, hits, percent, share_found_at
from trainer.benchmarks.files import Row, read_list, read_object, sorted_gallery
from trainer.benchmarks.ranking import first_images
from trainer.benchmarks.types import Benchmark, BenchmarkQuery, Category, CategoryFeatures, Ranked


def read_circo(root: Path, split: str, labelled: bool) -> list[Category]:
    """Read a split; both search all the images.

    Raises:
        UserError: a file is missing, a field is malformed, an image is not in the list, or the
            target is no right answer.
    """
    coco = root / "COCO2017_unlabeled"
    info = read_object(coco / "annotations/image_info_unlabeled2017.json")
    rows = [
        Row(info.file, number, values if isinstance(values, dict) else {})
        for number, values in enumerate(info.value("images", list))
    ]
    files = {row.name("id"): coco / "unlabeled2017" / row.path("file_name") for row in rows}
    gallery = sorted_gallery(files, info.file)
    queries = [_query(row, gallery, labelled) for row in read_list(root / f"annotations/{split}.json")]
    return [Category("all", queries, gallery)]


def _query(row: Row, gallery: dict[str, Path], labelled: bool) -> BenchmarkQuery:
    target, right = None, []
    if labelled:
        target = row.image("target_img_id", gallery)
        right = row.images("gt_img_ids", gallery)
        if target not in right:
            row.fail("the target is not among gt_img_ids", "target_img_id", target)
    return BenchmarkQuery(
        query_id=row.name("id"),
        reference=row.image("reference_img_id", gallery),
        text=row.query_text("relative_caption"),
        target=target,
        right=tuple(right),
        aspects=tuple(row.texts("semantic_aspects")) if "semantic_aspects" in row.values else (),
    )


def circo_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """mAP@5, 10, 25, 50 over all right answers, R@5, 10, 25, 50 of the target, and mAP@10 by aspect."""
    (ranked,) = categories
    first, right = ranked.rankings.top, count_right(ranked)
    hit = hits(first, ranked.answers.right.cpu())
    is_target = hits(first, ranked.answers.target.cpu()[:, None])
    figures: dict[str, Any] = {}
    for k in (5, 10, 25, 50):
        figures[f"mAP@{k}"] = percent(average_precision_at(hit, right, k))
        figures[f"R@{k}"] = percent(share_found_at(is_target, torch.ones_like(right), k))
    at_10 = average_precision_at(hit, right, 10)
    names = sorted({aspect for aspects in ranked.aspects for aspect in aspects})
    figures["semantic_mAP@10"] = {
        name: percent(at_10[[query for query, aspects in enumerate(ranked.aspects) if name in aspects]])
        for name in names
    }
    return figures


def circo_submissions(ranked: Ranked, features: CategoryFeatures) -> dict[str, dict[str, Any]]:
    """The file of CIRCO's server: the first images for every query, as numbers."""
    first = first_images(ranked, features.category)
    return {"test": {query: [int(image) for image in images] for query, images in first.items()}}


CIRCO = Benchmark(
    read=read_circo,
    splits=("val", "test"),
    withheld=("test",),
    reference_removed=False,
    figures=circo_figures,
    headline="mAP@10",
    columns=("mAP@5", "mAP@10", "mAP@25", "mAP@50", "R@10"),
    submissions=circo_submissions,
)
