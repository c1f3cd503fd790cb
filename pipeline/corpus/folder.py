"""Reader of a dataset folder with `scene_graphs.json`, `triplets.json` and `images/`.

Every row becomes a row of a table or a reject with its reason. Both files are read row by row, twice: once
for the images they name and the splits these lie in, once, the images known, for everything else.
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.images import SUFFIXES, Probe, probe_all
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS, SPLITS
from pipeline.corpus import checks
from pipeline.corpus.checks import Rejected
from pipeline.corpus.json_rows import read_rows
from pipeline.corpus.plain_edits import EditReader
from pipeline.corpus.queries import Gallery, named_images, query_row
from pipeline.corpus.scene_graphs import graph_row
from pipeline.corpus.tables import Corpus, Rejects, Rows
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects

GRAPHS_FILE, QUERIES_FILE, IMAGES_FOLDER = "scene_graphs.json", "triplets.json", "images"


@dataclass
class _Claim:
    """An image as the sources name it: its file, the row that names it, the split that row states."""

    file: str
    row: int | None
    split: str | None = None
    family: str | None = None


@dataclass
class _State:
    folder: Path
    rejects: Rejects = field(default_factory=Rejects)
    claims: dict[str, _Claim] = field(default_factory=dict)
    probes: dict[str, Probe] = field(default_factory=dict)
    rejected: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(
        default_factory=dict
    )  # images that graphs name, and why the row is no use
    ignored: int = 0

    @property
    def graphs_file(self) -> Path:
        return self.folder / GRAPHS_FILE

    @property
    def queries_file(self) -> Path:
        return self.folder / QUERIES_FILE


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


def read_folder(folder: Path, path_prefix: str, workers: int) -> Corpus:
    """Read and check a dataset.

    Args:
        path_prefix: what stands before an image's file name in the `path` column.
        workers: processes that decode images.

    Raises:
        UserError: a file as a whole cannot be used.
    """
    check_folder(folder)
    state = _State(folder)
    _claim_images(state)
    _probe_images(state, workers)
    splits, assumed = _splits(state)
    images = _image_rows(state, splits, path_prefix)
    graphs, graphless = _graph_rows(state)
    queries, removed = _query_rows(state, splits, graphs, graphless)
    return Corpus(
        images.table(),
        graphs.table(),
        queries.table(),
        state.rejects,
        {"split_assumed": assumed, "answers_removed": removed, "ignored_files": state.ignored},
    )


def _claim_images(state: _State) -> None:
    """Which images there are: those that graphs name, then the files that no graph names."""
    files = _image_files(state)
    by_stem: dict[str, str] = {}
    for name in files:
        by_stem.setdefault(_stem(name), name)
    claimed: dict[str, str] = {}
    for row, value in read_rows(state.graphs_file):
        state.rejects.seen["scene_graphs"] += 1
        image_id = None
        try:
            entry = checks.mapping(value, "row")
            image_id = checks.identifier(entry.get("image_id"), "image_id")
            _claim(state, entry, image_id, row, by_stem, claimed)
        except Rejected as error:
            state.rejects.add("scene_graphs", str(state.graphs_file), row, image_id, error)
            if image_id is not None and image_id not in state.claims:
                state.refused.setdefault(image_id, error.reason)
    for name in files:
        if name in claimed:
            continue
        image_id = _stem(name)
        if image_id in state.claims:
            twice = Rejected("another image has this id", "Rename the file", "image_id", image_id)
            state.rejects.add("images", str(state.folder / name), None, image_id, twice)
            state.rejects.seen["images"] += 1
        else:
            state.claims[image_id] = _Claim(name, None)
    state.rejects.seen["images"] += len(state.claims)
    state.rejected |= {
        image_id: reason for image_id, reason in state.refused.items() if image_id not in state.claims
    }


def _claim(
    state: _State,
    entry: Any,
    image_id: str,
    row: int,
    by_stem: dict[str, str],
    claimed: dict[str, str],
) -> None:
    earlier = state.claims.get(image_id)
    if earlier is not None:
        raise Rejected(
            f"the image id stands twice, in row {earlier.row} too",
            "Give each image one graph",
            "image_id",
            image_id,
        )
    name = entry.get("file_name")
    if name is None:
        file = by_stem.get(image_id, f"{IMAGES_FOLDER}/{image_id}.jpg")
    else:
        file = checks.relative_path(name, "file_name")
    if file in claimed:
        raise Rejected(
            f"the file is named twice, by image '{claimed[file]}' too",
            "Give each image one id",
            "file_name",
            file,
        )
    split = entry.get("split")
    if split is not None:
        checks.split(split, "split", SPLITS)
    family = entry.get("family")
    if family is not None:
        family = checks.identifier(family, "family")
    claimed[file] = image_id
    state.claims[image_id] = _Claim(file, row, split, family)


def _image_files(state: _State) -> list[str]:
    """Names of the image files, from the dataset's folder, sorted; other files are counted."""
    names = []
    for path in sorted((state.folder / IMAGES_FOLDER).rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        if path.suffix.lower() in SUFFIXES:
            names.append(path.relative_to(state.folder).as_posix())
        else:
            state.ignored += 1
    return names


def _stem(name: str) -> str:
    return name.removeprefix(f"{IMAGES_FOLDER}/").rsplit(".", 1)[0]


def _probe_images(state: _State, workers: int) -> None:
    ids = sorted(state.claims)
    paths = [state.folder / state.claims[image_id].file for image_id in ids]
    probes = tqdm(
        probe_all(paths, workers),
        total=len(ids),
        unit="image",
        desc=f"{state.folder.name}: decode",
        disable=None,
    )
    for image_id, path, probe in zip(ids, paths, probes, strict=True):
        claim = state.claims[image_id]
        try:
            checks.text(image_id, "image_id", checks.ID_LENGTH)
            if probe.error is not None:
                raise Rejected(probe.error, "Replace or remove the file", "file_name", claim.file)
        except Rejected as error:
            state.rejected[image_id] = error.reason
            state.rejects.add("images", str(path), claim.row, image_id, error)
        else:
            state.probes[image_id] = probe


def _splits(state: _State) -> tuple[dict[str, str], int]:
    """The split of every usable image, and of how many of them nothing says it.

    What an image's graph row states comes first, then what most of the queries that name the image say, so
    that one wrong query is the one rejected; a tie goes to the first. Images that nothing names count as
    train: there they can neither leak into an evaluation nor change its gallery.
    """
    votes: dict[str, Counter[str]] = {}
    for _, value in read_rows(state.queries_file):
        try:
            entry = checks.mapping(value, "row")
            split = checks.split(entry.get("split"), "split", SPLITS)
            for image_id in named_images(entry):
                votes.setdefault(image_id, Counter())[split] += 1
        except Rejected:
            continue  # said when the row itself is read
    stated = {image_id: found.most_common(1)[0][0] for image_id, found in votes.items()}
    stated |= {image_id: claim.split for image_id, claim in state.claims.items() if claim.split is not None}
    splits = {image_id: stated.get(image_id, "train") for image_id in state.probes}
    return splits, sum(image_id not in stated for image_id in state.probes)


def _image_rows(state: _State, splits: dict[str, str], path_prefix: str) -> Rows:
    rows = Rows(IMAGES)
    for image_id, probe in state.probes.items():
        claim = state.claims[image_id]
        rows.append(
            {
                "image_id": image_id,
                "split": splits[image_id],
                "path": f"{path_prefix}/{claim.file}",
                "sha256": probe.sha256,
                "width": probe.width,
                "height": probe.height,
                "family": claim.family,
            }
        )
    return rows


def _graph_rows(state: _State) -> tuple[Rows, dict[str, str]]:
    """Graphs of the usable images, and why the others of these images have none."""
    rows = Rows(SCENE_GRAPHS)
    graphless = dict.fromkeys(state.probes, "its reference has no scene graph")
    graphless |= {
        image_id: f"its reference's scene graph was rejected: {reason}"
        for image_id, reason in state.refused.items()
        if image_id in graphless
    }
    for row, value in read_rows(state.graphs_file):
        image_id = value.get("image_id") if isinstance(value, dict) else None
        image_id = str(image_id).strip() if isinstance(image_id, str | int) else None
        claim = state.claims.get(image_id) if image_id else None
        if image_id is None or claim is None or claim.row != row:
            continue  # rejected already
        try:
            if image_id in state.rejected:
                reason = f"its image was rejected: {state.rejected[image_id]}"
                raise Rejected(reason, "Mend the image, or remove the graph", "image_id", image_id)
            probe = state.probes[image_id]
            rows.append(graph_row(value, image_id, probe.width, probe.height))
        except Rejected as error:
            graphless[image_id] = f"its reference's scene graph was rejected: {error.reason}"
            state.rejects.add("scene_graphs", str(state.graphs_file), row, image_id, error)
        else:
            del graphless[image_id]
    return rows, graphless


def _query_rows(
    state: _State, splits: dict[str, str], graphs: Rows, graphless: dict[str, str]
) -> tuple[Rows, int]:
    table = graphs.table()
    place = {image_id: row for row, image_id in enumerate(table["image_id"].to_pylist())}

    @lru_cache(maxsize=4096)
    def graph_of(image_id: str) -> GroupGraph:
        return group_objects(graph_from_row(table.slice(place[image_id], 1).to_pylist()[0]))

    names = {
        name
        for chunk in table["objects"].chunks
        for name in chunk.flatten().field("name").unique().to_pylist()
    }
    gallery = Gallery(splits, state.rejected, graphless, graph_of, EditReader(sorted(names)))
    rows = Rows(QUERIES)
    taken: set[str] = set()
    removed = 0
    for row, value in read_rows(state.queries_file):
        state.rejects.seen["queries"] += 1
        query_id = value.get("pair_id") if isinstance(value, dict) else None
        try:
            query, gone = query_row(checks.mapping(value, "row"), gallery, taken)
        except Rejected as error:
            state.rejects.add("queries", str(state.queries_file), row, query_id, error)
        else:
            rows.append(query)
            taken.add(query["query_id"])
            removed += gone
    return rows, removed
