"""CIRR (Liu et al., ICCV 2021): everyday photographs in small sets of similar ones.

Under ROOT: `cirr/captions/cap.rc2.<split>.json`, `cirr/image_splits/split.rc2.<split>.json`, and the images
as the latter names them, in `cirr/img_raw/` or, where there is no such folder, in ROOT itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.benchmarks.files import Row, read_list, read_object, sorted_gallery
from trainer.benchmarks.ranking import first_images, first_of_set
from trainer.benchmarks.types import Benchmark, BenchmarkQuery, Category, CategoryFeatures, Ranked
from trainer.retrieval.metrics import recall_at


def read_cirr(root: Path, split: str, labelled: bool) -> list[Category]:
    """Read a split.

    Raises:
        UserError: a file is missing, a field is malformed, an image is not in the split, or the
            target is not in its set.
    """
    listing = read_object(root / f"cirr/image_splits/split.rc2.{split}.json")
    raw = root / "cirr/img_raw"
    folder = raw if raw.is_dir() else root
    gallery = sorted_gallery({name: folder / listing.path(name) for name in listing.values}, listing.file)
    rows = read_list(root / f"cirr/captions/cap.rc2.{split}.json")
    return [Category("all", [_query(row, gallery, labelled) for row in rows], gallery)]


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
        text=row.query_text("caption"),
        target=target,
        right=(target,) if target else (),
        members=tuple(members),
    )


def cirr_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """R@1, 5, 10, 50 in the gallery, R_subset@1, 2, 3 in the set; `mean` is that of R@5 and R_subset@1."""
    (ranked,) = categories
    if ranked.set_rankings is None:
        raise ValueError("CIRR's queries have sets")
    figures = {f"R@{k}": recall_at(ranked.rankings.rank, k) for k in (1, 5, 10, 50)}
    figures |= {f"R_subset@{k}": recall_at(ranked.set_rankings.rank, k) for k in (1, 2, 3)}
    return {**figures, "mean": (figures["R@5"] + figures["R_subset@1"]) / 2}


def cirr_submissions(ranked: Ranked, features: CategoryFeatures) -> dict[str, dict[str, Any]]:
    """The two files of CIRR's server, by the metric that each is for: the first images, and 3 of the set."""
    first = first_images(ranked, features.category)
    of_set = {query: images[:3] for query, images in first_of_set(ranked, features).items()}
    best = {"recall": first, "recall_subset": of_set}
    return {metric: {"version": "rc2", "metric": metric, **images} for metric, images in best.items()}


CIRR = Benchmark(
    read=read_cirr,
    splits=("val", "train", "test1"),
    withheld=("test1",),
    reference_removed=True,
    figures=cirr_figures,
    headline="mean",
    columns=("R@1", "R@5", "R@10", "R@50", "R_subset@1", "mean"),
    submissions=cirr_submissions,
)
