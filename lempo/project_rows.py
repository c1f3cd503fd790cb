"""The rows of a project's datasets, as far as they are known before a run; part of `lempo check`."""

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import read_json
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, PAIRS, SCENE_GRAPHS, SPLITS
from pipeline.base.tables import table_provenance, value_counts
from pipeline.captions.stages import CAPTION, INTERPRET, LanguageStage
from pipeline.captions.stages import PAIRS as WRITING
from stages.sources import brought, drawing_seconds, image_files, planned

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most so many of the items, evenly spread."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else list(items)


class Project:
    """The rows of a project's datasets as far as they are known, and the speed of its last runs."""

    def __init__(self, params: Params, paths: Paths) -> None:
        self.params, self.paths = params, paths
        self.expected = Expected(params, paths)

    @cached_property
    def tables(self) -> bool:
        """Whether the tables of the corpus are there and hold."""
        return all(self.holds(partial(self.expected.corpus, name)) for name in self.params.datasets)

    @cached_property
    def files(self) -> list[Path]:
        """The image files of all datasets; of a world that was not drawn there are none."""
        return [file for name in self.params.datasets for file in self.files_of(name)]

    @cache  # noqa: B019
    def files_of(self, dataset: str) -> list[Path]:
        if self.tables:
            paths = pq.read_table(self.paths.images(dataset), columns=["path"])["path"].to_pylist()
            return [self.paths.root / path for path in paths]
        folder = self.paths.root / self.params.corpus.root / dataset
        return [folder / name for name in image_files(folder)] if folder.is_dir() else []

    @cache  # noqa: B019
    def planned(self, dataset: str) -> tuple[int, dict[str, int]] | None:
        """Images, and queries of each split, of a world that is not drawn yet; None of any other dataset."""
        if self.tables:
            return None
        try:
            return planned(self.paths.root / self.params.corpus.root / dataset)
        except UserError:  # another line of the check names it
            return None

    def drawing_seconds(self, dataset: str) -> float:
        """Seconds of one process for an image of a world that is not drawn; 0 of any other dataset."""
        folder = self.paths.root / self.params.corpus.root / dataset
        return drawing_seconds(folder) if self.planned(dataset) else 0.0

    def images_of(self, dataset: str) -> int:
        """How many images a dataset has, or will have."""
        world = self.planned(dataset)
        return world[0] if world else len(self.files_of(dataset))

    @property
    def images(self) -> int:
        """How many images all datasets have, or will have."""
        return sum(self.images_of(name) for name in self.params.datasets)

    @property
    def uncut(self) -> bool:
        """Whether images will be cut into tiles, whose number is not known yet."""
        return self.params.corpus.tile_size is not None and not self.tables

    def holds(self, check: Callable[[], object]) -> bool:
        try:
            check()
            return True
        except (UserError, OSError):
            return False

    def speed(self, stage: str) -> dict[str, Any]:
        """The figures of the stage's last run; none if it has not run here."""
        file = self.paths.speed(stage)
        if not file.is_file():
            return {}
        try:
            return read_json(file, "Run the stage again", "the figures cannot be read")
        except UserError:
            return {}


def most_rows(project: Project, stage: LanguageStage) -> int | None:
    """How many rows a stage has; before the tables are made, how many it has at most, if that is known."""
    params, paths, expected = project.params, project.paths, project.expected
    files = {name: stage.source(params, paths, name) for name in params.datasets}
    described = IMAGES if params.llm.images else SCENE_GRAPHS
    source, made_from = (PAIRS, expected.pairs) if stage is CAPTION else (described, expected.corpus)
    if stage is not WRITING and all(is_made(project, files[name], source, made_from, name) for name in files):
        return sum(pq.read_metadata(file).num_rows for file in files.values())
    if project.uncut:
        return None
    total = 0
    for name in params.datasets:
        images, world = project.images_of(name), project.planned(name)
        if world and stage is not INTERPRET:
            total += sum(world[1].values()) if stage is CAPTION else 0
            continue
        folder = paths.root / params.corpus.root / name
        if not images or (stage is not INTERPRET and "queries" in brought(folder)):
            return None
        limits = params.pairs
        total += images if stage is INTERPRET else min(images * limits.per_image, limits.most * len(SPLITS))
    return total


def is_made(
    project: Project, file: Path, schema: pa.Schema, made_from: Callable[[str], Any], dataset: str
) -> bool:
    return project.holds(lambda: table_provenance(file, schema, made_from(dataset)))


def queries_of(project: Project, dataset: str, splits: Sequence[str]) -> int | None:
    """How many queries of some splits there are; None before their table is made, but of worlds."""
    if world := project.planned(dataset):
        return sum(world[1][split] for split in splits)
    file = project.paths.pairs(dataset)
    if not is_made(project, file, PAIRS, project.expected.pairs, dataset):
        return None
    found = value_counts(pq.read_table(file, columns=["split"])["split"])
    return sum(found.get(split, 0) for split in splits)
