"""FashionIQ (Wu et al., CVPR 2021): three categories of clothes, two captions for each query.

Under ROOT: `captions/cap.<category>.<split>.json`, `image_splits/split.<category>.<split>.json` and
`images/<id>.jpg` or `.png`. Every category is searched for itself, among the images of its own list.
"""

from pathlib import Path

from trainer.benchmarks.files import Row, checked_gallery, read_list, read_names
from trainer.benchmarks.types import BenchmarkQuery, BenchmarkSplit, Category

SPLITS = ("val", "train", "test")
CATEGORIES = ("dress", "shirt", "toptee")


def read_fashioniq(root: Path, split: str) -> BenchmarkSplit:
    """Read a split; the targets of test are not public.

    Raises:
        UserError: a file or an image is missing, a field is malformed, or an image is not in its list.
    """
    labelled = split != "test"
    categories = [_category(root, name, split, labelled) for name in CATEGORIES]
    return BenchmarkSplit("fashioniq", split, categories, reference_removed=False, labelled=labelled)


def _category(root: Path, name: str, split: str, labelled: bool) -> Category:
    listing = root / f"image_splits/split.{name}.{split}.json"
    files = {image: _image(root / "images", image) for image in read_names(listing)}
    gallery = checked_gallery(files, listing)
    rows = read_list(root / f"captions/cap.{name}.{split}.json")
    return Category(name, [_query(row, gallery, labelled) for row in rows], gallery)


def _image(folder: Path, name: str) -> Path:
    jpeg, png = folder / f"{name}.jpg", folder / f"{name}.png"
    return png if png.is_file() else jpeg


def _query(row: Row, gallery: dict[str, Path], labelled: bool) -> BenchmarkQuery:
    target = row.image("target", gallery) if labelled else None
    return BenchmarkQuery(
        query_id=str(row.number),  # the file gives its queries no ids
        reference=row.image("candidate", gallery),
        text=_joined(row),
        target=target,
        right=(target,) if target else (),
    )


def _joined(row: Row) -> str:
    """Both captions in one: without the punctuation at their ends, and joined by "and"."""
    captions = [caption.strip(" .,?") for caption in row.texts("captions")]
    text = " and ".join(caption for caption in captions if caption)
    if not text:
        row.fail("every caption is empty", "captions", captions)
    return text
