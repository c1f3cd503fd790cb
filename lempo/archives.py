"""What `lempo check` finds in an archive: the stage `corpus` itself runs on a sample of it, in a temporary folder.

Once the stage has run on the whole archive, its figures are shown instead.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lempo.costs import spread
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import read_json
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.boxes.names import has_plural
from pipeline.corpus.near_duplicates import across_splits
from pipeline.corpus.tables import Corpus
from stages.sources import image_files, is_archive, read_source

_IMAGES, _BYTES, _SHOWN = 500, 512 << 20, 5  # of a sample; things that are named


def archive_checks(params: Params, paths: Paths, dataset: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """The name of each check of an archive, and a function that returns details or raises a `UserError`."""
    folder = paths.root / params.corpus.root / dataset
    if not folder.is_dir() or not is_archive(folder):
        return
    if (figures := _figures(params, paths, dataset)) is not None:
        yield f"archive {dataset}", partial(_as_read, figures)
        return
    sample = _Sample(params, paths, dataset)
    yield f"images of {dataset}", sample.images
    yield f"places of {dataset}", sample.places
    yield f"near-duplicates of {dataset}", sample.near_duplicates
    yield f"classes of {dataset}", sample.classes
    yield f"pairs of {dataset}", sample.pairs


def _figures(params: Params, paths: Paths, dataset: str) -> dict[str, Any] | None:
    """The figures of the stage `corpus`, if its tables hold what the parameters ask for."""
    try:
        Expected(params, paths).corpus(dataset)
        return read_json(paths.metrics("corpus"), "Run `dvc repro corpus`", "the figures cannot be read").get(
            dataset
        )
    except UserError:
        return None


def _as_read(figures: dict[str, Any]) -> str:
    return (
        f"{figures['images']:,} images and {figures['graphs']:,} scene graphs; {figures['rejected_images']:,} "
        f"images rejected, {figures['near_duplicates_across_splits']:,} of val and test look like images of "
        "another split"
    )
