"""What `lempo check` finds in an archive: the stage `corpus` itself reads a sample of it.

Once the stage has run on the whole archive, its figures are shown instead.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from lempo.project_rows import spread
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import SPLITS
from pipeline.boxes.names import has_plural
from pipeline.corpus.near_duplicates import across_splits
from pipeline.corpus.tables import Corpus
from pipeline.pairs.choosing import Chosen
from pipeline.pairs.making import make
from stages.sources import image_files, is_archive, read_source

_IMAGES, _BYTES, _SHOWN = 500, 512 << 20, 5  # of a sample; things that are named
_LOOK_ALIKE = "{:,} images of val and test look like images of another split"


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
        return read_metrics(paths.metrics("corpus")).get(dataset)
    except UserError:
        return None


def _as_read(figures: dict[str, Any]) -> str:
    images, graphs, rejected = (figures[name] for name in ("images", "graphs", "rejected_images"))
    alike = _LOOK_ALIKE.format(figures["near_duplicates_across_splits"] or 0)
    return f"{images:,} images and {graphs:,} scene graphs, {rejected:,} images rejected; {alike}"


class _Sample:
    """A sample of an archive, read when it is first asked for; what hinders that is said once."""

    def __init__(self, params: Params, paths: Paths, dataset: str) -> None:
        self._params, self._paths, self._dataset = params, paths, dataset
        self._folder = Path(params.corpus.root) / dataset

    @cached_property
    def _names(self) -> list[str]:
        return image_files(self._paths.root / self._folder)

    @cached_property
    def _read(self) -> Corpus | UserError:
        """The sample as the stage `corpus` reads it; it ends where its files become too large."""
        chosen, left = set[str](), _BYTES
        for name in spread(self._names, _IMAGES):
            left -= os.stat(self._paths.root / self._folder / name).st_size
            if left < 0 and chosen:
                break
            chosen.add(name)
        with tempfile.TemporaryDirectory() as temporary:
            rendered = Path(temporary)
            try:
                return read_source(
                    self._folder, self._paths.root, rendered / "images", self._params, rendered, chosen
                )
            except UserError as error:
                return error

    @property
    def _corpus(self) -> Corpus:
        if isinstance(self._read, UserError):
            raise UserError("not looked at, since the archive cannot be read", "See the line on its images")
        return self._read

    @property
    def _whole(self) -> bool:
        return self._corpus.rejects.seen["images"] >= len(self._names)

    def _of(self, what: str) -> str:
        """What was looked at, in words."""
        seen, count = self._corpus.rejects.seen["images"], len(self._names)
        return (
            f"{what} {count:,} images" if self._whole else f"{what} a sample of {seen:,} of {count:,} images"
        )

    def images(self) -> str:
        if isinstance(self._read, UserError):
            raise self._read
        corpus = self._read
        problems, seen = corpus.rejects.problems("images"), corpus.rejects.seen["images"]
        if len(problems) > self._params.corpus.max_reject_share * seen:
            reason = f"{len(problems)} of {seen} images cannot be used. The first: {problems[0]}"
            raise UserError(reason, "`lempo corpus` lists all", file=self._folder)
        of_graphs = corpus.rejects.problems("scene_graphs")
        said = [self._of("of"), f"{corpus.scene_graphs.num_rows:,} scene graphs"]
        if self._params.corpus.tile_size is not None:
            said.insert(1, f"{corpus.images.num_rows:,} images once they are cut into tiles")
        if problems:
            said.append(f"{len(problems)} images cannot be used. The first: {problems[0]}")
        if of_graphs and self._whole:  # of a sample, most annotations are of other images
            said.append(f"{len(of_graphs)} annotations cannot be used. The first: {of_graphs[0]}")
        return "; ".join(said)

    def places(self) -> str:
        notes, places = self._corpus.notes, self._corpus.images["place"].drop_null().unique()
        if shared := notes.counts["shared_places"]:
            first = notes.first["shared_places"]
            said = f"places whose images are stated in several splits: {shared}. The first: {first}"
            if not self._params.corpus.allow_shared_places:
                remedy = "Keep each place in one split, or set corpus.allow_shared_places to true"
                raise UserError(said, remedy, file=self._folder)
            return said
        if not len(places):
            return "nothing says which images are of one place; corpus.place can name a column, or `folder`"
        return f"{len(places):,} places, none of them in two splits ({self._of('in')})"

    def near_duplicates(self) -> str:
        ids, splits = (self._corpus.images[name].to_pylist() for name in ("image_id", "split"))
        count, shown = across_splits(self._corpus.alike or [], dict(zip(ids, splits, strict=True)))
        first = f". The first: {'; '.join(shown)}" if shown else ""
        return f"{_LOOK_ALIKE.format(count)} ({self._of('in')}){first}"

    def classes(self) -> str:
        names = sorted(
            {
                name
                for chunk in self._corpus.scene_graphs["objects"].chunks
                for name in chunk.flatten().field("name").unique().to_pylist()
            }
        )
        odd = [name for name in names if not has_plural(name)]
        if not odd:
            return f"{len(names):,}, each with a plural"
        shown = ", ".join(odd[:_SHOWN]) + (" ..." if len(odd) > _SHOWN else "")
        return f"{len(names):,}, of which {len(odd)} have no plural that is said: {shown}"

    def pairs(self) -> str:
        if not self._corpus.scene_graphs.num_rows:
            return "none: no image has a scene graph"
        try:
            made = self._made()
        except UserError as error:
            if self._whole:
                raise
            return f"not known: {error} ({self._of('in')})"
        splits = Counter(query.reference.split for query in made)
        said = ", ".join(f"{splits[split]:,} {split}" for split in SPLITS)
        return f"{len(made):,} queries can be made ({said}) {self._of('of')}"

    def _made(self) -> list[Chosen]:
        """The queries that the stage `pairs` would choose."""
        corpus, dataset = self._corpus, self._dataset
        with tempfile.TemporaryDirectory() as temporary:
            expected = Expected(self._params, Paths(Path(temporary)))
            expected.write_corpus(dataset, corpus.images, corpus.scene_graphs, corpus.queries)
            return make(expected, dataset, Counter(corpus.queries["split"].to_pylist())).queries
