"""CIRR (Liu et al., ICCV 2021): everyday photographs in small sets of similar ones.

Under ROOT: `cirr/captions/cap.rc2.<split>.json`, `cirr/image_splits/split.rc2.<split>.json`, and the images
as the latter names them, in `cirr/img_raw/` or, where there is no such folder, in ROOT itself.
"""

from pathlib import Path

from trainer.benchmarks.files import Row, checked_gallery, read_list, read_object
from trainer.benchmarks.types import BenchmarkQuery, BenchmarkSplit, Category

SPLITS = ("val", "train", "test1")


def read_cirr(root: Path, split: str) -> BenchmarkSplit:
    """Read a split; the labels of test1 are not public.

    Raises:
        UserError: a file or an image is missing, a field is malformed, an image is not in the split, or the
            target is not in its set.
    """
    listing = read_object(root / f"cirr/image_splits/split.rc2.{split}.json")
    raw = root / "cirr/img_raw"
    folder = raw if raw.is_dir() else root
    gallery = checked_gallery({name: folder / listing.path(name) for name in listing.values}, listing.file)
    labelled = split != "test1"
    captions = root / f"cirr/captions/cap.rc2.{split}.json"
    queries = [_query(row, gallery, labelled) for row in read_list(captions)]
    categories = [Category("all", queries, gallery)]
    return BenchmarkSplit("cirr", split, categories, reference_removed=True, labelled=labelled)


def _query(row: Row, gallery: dict[str, Path], labelled: bool) -> BenchmarkQuery:
    reference = row.image("reference", gallery)
    own_set = Row(row.file, row.number, row.value("img_set", dict))
    members = [name for name in own_set.images("members", gallery) if name != reference]
    target = row.image("target_hard", gallery) if labelled else None
    if target is not None and target not in members:
        row.fail("the target is the reference, or not in the query's img_set", "target_hard", target)
    return BenchmarkQuery(
        query_id=row.name("pairid"),
        reference=reference,
        text=row.text("caption"),
        target=target,
        right=(target,) if target else (),
        members=tuple(members),
    )
