"""Reader of a dataset folder with `scene_graphs.json`, `triplets.json` and `images/`.

Every row becomes a row of a table or a reject with its reason. Both files are read row by row, twice: first
for the images that they name and the splits of these, then, when the images are known, for everything else.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.errors import Problem, UserError
from pipeline.base.images import Probe, probe_all
from pipeline.base.progress import Progress
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS, SPLITS
from pipeline.corpus import checks
from pipeline.corpus.brought import QUERIES_FILE, Known, query_rows, votes
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.graph_parts import GraphRow, check_parts
from pipeline.corpus.image_files import IMAGES_FOLDER, ImageFiles, images_top, name_in_images
from pipeline.corpus.json_rows import read_rows, read_texts
from pipeline.corpus.known_images import KnownImages
from pipeline.corpus.near_duplicates import groups
from pipeline.corpus.tables import Corpus, Notes, Rejects, gather

GRAPHS_FILE = "scene_graphs.json"


@dataclass(slots=True)
class _NamedImage:
    """An image by its file, and what the row of its graph states; `row` is None if it has no graph.

    `missing` says that `file` does not exist, and which file its name can mean.
    """

    file: str
    missing: Rejected | None = None
    row: int | None = None
    split: str | None = None
    family: str | None = None


@dataclass
class _State:
    """What is known of a dataset so far; every dictionary is by image id."""

    folder: Path
    rejects: Rejects = field(default_factory=Rejects)
    notes: Notes = field(default_factory=Notes)
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, _NamedImage] = field(default_factory=dict)
    graph_faults: dict[str, str] = field(default_factory=dict)  # why a graph's row could not name its image
    rejected: dict[str, str] = field(default_factory=dict)  # why an image is not usable
    probes: dict[str, Probe] = field(default_factory=dict)  # of the usable images
    splits: dict[str, str] = field(default_factory=dict)  # of the usable images
    graphless: dict[str, str] = field(default_factory=dict)  # why a usable image has no usable graph

    def id_of(self, name: str) -> str:
        """The id of the image that a query names by its id or by its file's name in `images/`."""
        if name in self.named or name in self.graph_faults:
            return name
        return self._id_of_file.get(name_in_images(name), name)

    @cached_property
    def _id_of_file(self) -> dict[str, str]:
        """By the file's name in `images/`, once all images are named; most datasets never need it."""
        ids: dict[str, str] = {}
        for image_id, image in self.named.items():
            ids.setdefault(name_in_images(image.file), image_id)
        return ids


def check_folder(folder: Path) -> None:
    """Refuse a folder that lacks one of the sources.

    Raises:
        UserError: names what is missing.
    """
    for name in (GRAPHS_FILE, QUERIES_FILE):
        if not (folder / name).is_file():
            reason = "this is no file" if os.path.lexists(folder / name) else "the file is missing"
            raise UserError(reason, "Put the file there, or correct corpus.root", file=folder / name)
    images = folder / IMAGES_FOLDER
    if not images.is_dir():
        reason = "this is no folder" if os.path.lexists(images) else "the folder of images is missing"
        raise UserError(reason, "Put the folder there, or correct corpus.root", file=images)


def read_folder(
    folder: Path, path_prefix: str, workers: int, max_pixels: int | None = None, store: Path | None = None
) -> Corpus:
    """Read and check a dataset.

    Args:
        path_prefix: what stands before an image's file name in the `path` column.
        workers: processes that decode images.
        max_pixels: of an image; None is Pillow's own limit.
        store: folder of what earlier runs know of images and graphs; None: all are decoded and checked.

    Raises:
        UserError: a file as a whole cannot be used.
    """
    check_folder(folder)
    state = _State(folder)
    _name_images(state)
    _probe_images(state, workers, max_pixels, store)
    _choose_splits(state)
    images = gather(_image_rows(state, path_prefix), IMAGES)
    graphs = pa.concat_tables([SCENE_GRAPHS.empty_table(), *_graph_tables(state, store)])
    known = Known(state.splits, state.id_of, state.rejected, state.graphless)
    rows = query_rows(folder / QUERIES_FILE, graphs, known, state.rejects, state.counts)
    queries = gather(rows, QUERIES)
    counts = {name: state.counts[name] for name in ("split_assumed", "answers_removed", "ignored_files")}
    looks = {image_id: probe.looks for image_id, probe in state.probes.items()}
    alike = groups(looks, f"{folder.name}: compare")
    return Corpus(images, graphs, queries, state.rejects, counts, state.notes, alike)


def missing_files(folder: Path, rows: Iterable[tuple[int, Any]]) -> list[Problem]:
    """The rows of `scene_graphs.json` whose image's file does not exist; other faults are passed by."""
    files, problems = ImageFiles(folder, images_top(folder)), []
    for row, value in rows:
        try:
            graph = Record.checked(value)
            file = files.find(graph.identifier("image_id"), graph.optional("file_name"))
            if not os.path.lexists(folder / file):
                raise files.missing(file)
        except Rejected as error:
            if error.field == "file_name":
                problems.append(error.problem(folder / GRAPHS_FILE, row))
    return problems


def _name_images(state: _State) -> None:
    """Collect the images that graphs name, then the image files that no graph names."""
    files = ImageFiles(state.folder)
    state.counts["ignored_files"] = files.counts["ignored_files"]
    state.notes.count("hidden_files", files.counts["hidden_files"])
    id_of: dict[str, str] = {}  # by file, for the files that graphs name
    used: set[str] = set()  # files that graphs name or seem to mean
    rows = read_rows(state.folder / GRAPHS_FILE)
    for row, value in Progress(rows, title=f"{state.folder.name}: names", unit="graph", leave=False):
        state.rejects.seen["scene_graphs"] += 1
        image_id = None
        try:
            graph = Record.checked(value)
            image_id = graph.identifier("image_id")
            if image_id in state.named:
                reason = f"the image id stands twice, in row {state.named[image_id].row} too"
                raise Rejected(reason, "Give each image one graph", "image_id", image_id)
            image = _named_image(graph, row, files.find(image_id, graph.optional("file_name")))
            if image.file in id_of:
                reason = f"the file is named twice, by image '{id_of[image.file]}' too"
                raise Rejected(reason, "Give each image one id", "file_name", image.file)
            id_of[image.file] = image_id
            if not files.exists(image.file) and (meant := files.meant(image.file)):
                image.missing = files.missing(image.file)
                used.add(meant)
            used.add(files.listed_as(image.file))
            state.named[image_id] = image
        except Rejected as error:
            state.rejects.add("scene_graphs", state.folder / GRAPHS_FILE, row, image_id, error)
            if image_id is not None and image_id not in state.named:
                state.graph_faults.setdefault(image_id, error.reason)
    state.rejects.seen["images"] = len(state.named)
    for file in files.names:
        if file in used:
            continue
        image_id = files.stem(file)
        state.rejects.seen["images"] += 1
        if image_id in state.named:
            same_id = Rejected("another image has this id", "Rename the file", "image_id", image_id)
            state.rejects.add("images", state.folder / file, None, image_id, same_id)
        else:
            state.named[image_id] = _NamedImage(file)
    state.rejected |= {name: why for name, why in state.graph_faults.items() if name not in state.named}


def _named_image(graph: Record, row: int, file: str) -> _NamedImage:
    return _NamedImage(
        file=file,
        row=row,
        split=None if graph.optional("split") is None else graph.choice("split", SPLITS),
        family=None if graph.optional("family") is None else graph.identifier("family"),
    )


def _probe_images(state: _State, workers: int, max_pixels: int | None, store: Path | None) -> None:
    ids = sorted(state.named)
    files = [state.named[image_id].file for image_id in ids]
    title = f"{state.folder.name}: decode"
    if store is None:
        probes = probe_all(files, workers, max_pixels, state.folder)
    else:
        probes = KnownImages(store / "images", state.folder, max_pixels).probe_all(files, workers)
    progress = Progress(probes, total=len(ids), unit="image", title=title)
    for image_id, probe in zip(ids, progress, strict=True):
        image = state.named[image_id]
        path = state.folder / image.file
        try:
            checks.text(image_id, "image_id", checks.ID_LENGTH)
            if image.missing is not None:
                raise image.missing
            if probe.error is not None:
                raise Rejected(probe.error, probe.remedy, "file_name", image.file)
        except Rejected as error:
            state.rejected[image_id] = error.reason
            file = path if image.missing is None else state.folder / GRAPHS_FILE
            state.rejects.add("images", file, image.row, image_id, error)
        else:
            state.probes[image_id] = probe
            state.notes.count("images_turned", probe.turned, path)
            state.notes.count("images_rescaled", probe.rescaled, path)


def _choose_splits(state: _State) -> None:
    """Find the split of every usable image, and count those of which nothing states it.

    The image's graph row decides. Without one, the split of most queries that name the image does, so that
    one wrong query is the one rejected; on a tie, the first. Images that nothing names count as train: there
    they can neither leak into an evaluation nor change its gallery.
    """
    by_queries = votes(state.folder / QUERIES_FILE, state.id_of)
    for image_id in state.probes:
        stated = state.named[image_id].split
        if stated is None and image_id in by_queries:
            stated = by_queries[image_id].most_common(1)[0][0]
        state.counts["split_assumed"] += stated is None
        state.splits[image_id] = stated or "train"


def _image_rows(state: _State, path_prefix: str) -> Iterator[dict[str, Any]]:
    for image_id, probe in state.probes.items():
        image = state.named[image_id]
        yield {
            "image_id": image_id,
            "split": state.splits[image_id],
            "path": f"{path_prefix}/{image.file}",
            "sha256": probe.sha256,
            "width": probe.width,
            "height": probe.height,
            "family": image.family,
        }


def _graph_tables(state: _State, store: Path | None) -> Iterator[pa.Table]:
    """Graphs of the usable images; `state.graphless` then says why other usable images have none."""
    rejected = "its reference's scene graph was rejected: {}".format
    state.graphless = {
        image_id: rejected(state.graph_faults[image_id])
        if image_id in state.graph_faults
        else "its reference has no scene graph"
        for image_id in state.probes
        if state.named[image_id].row is None
    }
    file = state.folder / GRAPHS_FILE
    kept = None if store is None else store / "graphs"
    for part in check_parts(_graph_rows(state), state.folder.name, kept):
        for row, error in part.rejected:
            state.graphless[row.image_id] = rejected(error.reason)
            state.rejects.add("scene_graphs", file, row.row, row.image_id, error)
        for note in part.notes:
            state.notes.count(note.kind, note.times, note.first and note.first.problem(file, note.row))
        yield part.graphs


def _graph_rows(state: _State) -> Iterator[GraphRow]:
    """The rows that named an image, in the order of the file."""
    # images were named in the order of these rows
    with_row = ((image.row, image_id) for image_id, image in state.named.items() if image.row is not None)
    next_row, image_id = next(with_row, (None, ""))
    rows = read_texts(state.folder / GRAPHS_FILE)
    for row, value, text in Progress(rows, title=f"{state.folder.name}: graphs", unit="graph", leave=False):
        if row != next_row:
            continue  # this row was rejected already
        _check_unchanged(state, row, value, image_id)
        if (probe := state.probes.get(image_id)) is not None:
            yield GraphRow(row, image_id, value, text, (probe.width, probe.height))
        else:
            yield GraphRow(row, image_id, value, text, unusable=state.rejected[image_id])
        next_row, image_id = next(with_row, (None, ""))
    if next_row is not None:
        _check_unchanged(state, next_row, None, image_id)


def _check_unchanged(state: _State, row: int, value: Any, image_id: str) -> None:
    """Refuse a file whose rows no longer are those that named the images: all were decoded meanwhile."""
    try:
        same = Record.checked(value).identifier("image_id") == image_id
    except Rejected:
        same = False
    if not same:
        file = state.folder / GRAPHS_FILE
        reason = "the file has changed while its images were read: this row was another one's"
        raise UserError(reason, "Run the stage again", file=file, row=row, field="image_id", value=image_id)
