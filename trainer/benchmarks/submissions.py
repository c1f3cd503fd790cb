"""The files that the servers of CIRR and CIRCO take for a split whose labels are not public."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.base.files import replacing
from trainer.benchmarks.protocols import Ranked
from trainer.benchmarks.ranking import CategoryFeatures, first_images, first_of_set

Best = Mapping[str, Sequence[str]]  # query id -> image ids, best first

CIRR_FIRST = 50  # images for each query, of the gallery
CIRR_FIRST_OF_SET = 3  # images for each query, of its own set
CIRCO_FIRST = 50


def cirr_submissions(ranked: Ranked, features: CategoryFeatures) -> dict[str, dict[str, Any]]:
    """The two files of CIRR's server, by the metric that each is for."""
    best: dict[str, tuple[Best, int]] = {
        "recall": (first_images(ranked, features.category), CIRR_FIRST),
        "recall_subset": (first_of_set(ranked, features), CIRR_FIRST_OF_SET),
    }
    return {
        metric: {
            "version": "rc2",
            "metric": metric,
            **{query: list(images[:count]) for query, images in first.items()},
        }
        for metric, (first, count) in best.items()
    }


def circo_submissions(ranked: Ranked, features: CategoryFeatures) -> dict[str, dict[str, Any]]:
    """The file of CIRCO's server: the first images for every query, as numbers."""
    first = first_images(ranked, features.category)
    return {
        "test": {query: [int(image) for image in images[:CIRCO_FIRST]] for query, images in first.items()}
    }


def write_submissions(
    folder: Path,
    encoder: str,
    layout: str,
    ranked: Mapping[str, Sequence[Ranked]],
    features: Sequence[CategoryFeatures],
) -> list[Path]:
    """Write `<encoder>_<method>_<metric>.json` for every method, and return the paths.

    Args:
        ranked: by method, the one category of the split.
        features: of this category.
    """
    paths = []
    for method, (category,) in ranked.items():
        for metric, content in SUBMISSIONS[layout](category, features[0]).items():
            path = folder / f"{encoder}_{method}_{metric}.json"
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            paths.append(path)
    return paths


SUBMISSIONS: dict[str, Callable[[Ranked, CategoryFeatures], dict[str, dict[str, Any]]]] = {
    "cirr": cirr_submissions,
    "circo": circo_submissions,
}
