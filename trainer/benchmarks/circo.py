"""CIRCO (Baldrati et al., ICCV 2023): queries with several right answers among COCO's unlabelled images.

Under ROOT: `annotations/<split>.json`, `COCO2017_unlabeled/annotations/image_info_unlabeled2017.json` and the
images in `COCO2017_unlabeled/unlabeled2017/`.
"""

from pathlib import Path

from trainer.benchmarks.files import Row, checked_gallery, read_list, read_object
from trainer.benchmarks.types import BenchmarkQuery, BenchmarkSplit, Category

SPLITS = ("val", "test")


def read_circo(root: Path, split: str) -> BenchmarkSplit:
    """Read a split; the labels of test are not public. Both splits search all the images.

    Raises:
        UserError: a file or an image is missing, a field is malformed, an image is not in the list, or the
            target is no right answer.
    """
    coco = root / "COCO2017_unlabeled"
    info = read_object(coco / "annotations/image_info_unlabeled2017.json")
    rows = [
        Row(info.file, number, values if isinstance(values, dict) else {})
        for number, values in enumerate(info.value("images", list))
    ]
    files = {row.name("id"): coco / "unlabeled2017" / row.path("file_name") for row in rows}
    gallery = checked_gallery(files, info.file)
    labelled = split == "val"
    queries = [_query(row, gallery, labelled) for row in read_list(root / f"annotations/{split}.json")]
    categories = [Category("all", queries, gallery)]
    return BenchmarkSplit("circo", split, categories, reference_removed=False, labelled=labelled)


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
        text=row.text("relative_caption"),
        target=target,
        right=tuple(right),
        aspects=tuple(row.texts("semantic_aspects")) if "semantic_aspects" in row.values else (),
    )
