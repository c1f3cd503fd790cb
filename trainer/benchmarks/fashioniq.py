"""FashionIQ (Wu et al., CVPR 2021): three categories of clothes, two captions for each query.

Under ROOT: `captions/cap.<category>.<split>.json`, `image_splits/split.<category>.<split>.json` and
`images/<id>.jpg` or `.png`. Every category is searched for itself, among the images of its own list.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from trainer.benchmarks.figures import means
from trainer.benchmarks.files import Row, read_list, read_names, sorted_gallery
from trainer.benchmarks.types import Benchmark, BenchmarkQuery, Category, Ranked
from trainer.retrieval.metrics import recall_at

CATEGORIES = ("dress", "shirt", "toptee")


def read_fashioniq(root: Path, split: str, labelled: bool) -> list[Category]:
    """Read a split.

    Raises:
        UserError: a file is missing, a field is malformed, or an image is not in its list.
    """
    return [_category(root, name, split, labelled) for name in CATEGORIES]


def _category(root: Path, name: str, split: str, labelled: bool) -> Category:
    listing = root / f"image_splits/split.{name}.{split}.json"
    files = {image: _image(root / "images", image) for image in read_names(listing)}
    gallery = sorted_gallery(files, listing)
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
    """Both captions in one: without the marks at their ends, joined by "and"; "" if both are blank."""
    captions = [caption.strip(" .,?") for caption in row.texts("captions")]
    return " and ".join(caption for caption in captions if caption)


def fashioniq_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """R@10 and R@50 of each category, and their means over the categories, whatever their sizes."""
    figures = {
        ranked.name: {f"R@{k}": recall_at(ranked.rankings.rank, k) for k in (10, 50)} for ranked in categories
    }
    mean = means(figures)
    return {**figures, "mean": {**mean, "mean": fmean(mean.values())}}


FASHIONIQ = Benchmark(
    read=read_fashioniq,
    splits=("val", "train", "test"),
    withheld=("test",),
    reference_removed=False,
    figures=fashioniq_figures,
    headline="mean.mean",
    columns=(*(f"{name}.R@10" for name in CATEGORIES), "mean.R@10", "mean.R@50"),
)
