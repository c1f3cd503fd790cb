"""Reader of a folder of images, with annotations in any kind of files or without.

The images are listed, looked at, and where needed cut into tiles and rendered. What the annotations say of
each becomes a scene graph by rule. Graphs and queries that a person brings take the place of made ones.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.errors import UserError, parameter_error, perhaps
from pipeline.base.params import CorpusParams, Params
from pipeline.base.progress import Progress
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS, SPLITS
from pipeline.corpus import checks, registry
from pipeline.corpus.annotations import ImageFile
from pipeline.corpus.archive_graphs import graph_rows
from pipeline.corpus.archive_state import State, brought_rows, meant
from pipeline.corpus.brought import QUERIES_FILE, Known, query_rows, votes
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.columns import Columns
from pipeline.corpus.image_files import ImageFiles, images_top, name_in_images
from pipeline.corpus.near_duplicates import groups
from pipeline.corpus.pieces import Piece, Workshop, make_pieces
from pipeline.corpus.places import Assigned, Placed, assign
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import look_at_all
from pipeline.corpus.said import Said
from pipeline.corpus.tables import Corpus, gather
from pipeline.corpus.tiles import Cutting

_FOLDER = "folder"  # as corpus.place
_COUNTS = ("split_assumed", "answers_removed", "ignored_files", "scenes_cut", "tiles", "places")


def check_archive(folder: Path) -> None:
    """Refuse a folder without images, or with annotations of two kinds.

    Raises:
        UserError: says what is missing, or names both kinds.
    """
    registry.kind_of(folder)
    if not ImageFiles(folder, images_top(folder)).names:
        remedy = "Put image files there, or correct corpus.root"
        raise UserError("the folder holds no image", remedy, file=folder / images_top(folder))


def read_archive(
    folder: Path,
    root: Path,
    image_folder: Path,
    params: Params,
    cache: Path,
    only: Collection[str] | None = None,
) -> Corpus:
    """Read and check a dataset, and render what needs it.

    Args:
        folder: of the dataset, and `image_folder`, where rendered images go: relative to `root`.
        cache: folder of rendered images.
        only: names of the image files to read; None for all.

    Raises:
        UserError: a file as a whole cannot be used.
    """
    corpus = params.corpus
    state = State(root / folder, corpus, ImageFiles(root / folder, images_top(root / folder)))
    look = Look(corpus.bands, corpus.stretch, corpus.max_pixels, corpus.tile_size)
    _name_images(state, only)
    _look_at_images(state, params.speed.workers, look)
    said = _read_annotations(state)
    shop = Workshop(root, image_folder, cache, params.speed.workers, look, _cutting(corpus))
    for made in make_pieces(shop, folder, state.named, state.sources, said, state.notes):
        if isinstance(made, Piece):
            state.pieces[made.image_id] = made
        else:
            _reject_image(state, *made)
    columns = {i: Columns.of(said.of(i).extras, source) for i, source in state.sources.items()}
    looks = {image_id: piece.looks for image_id, piece in state.pieces.items()}
    alike = groups(looks, f"{state.folder.name}: compare")
    assigned = _assign(state, said, columns, alike)
    images = gather(_image_rows(state, columns, assigned), IMAGES)
    graphs = gather(graph_rows(state, said, shop), SCENE_GRAPHS)
    queries = QUERIES.empty_table()
    if (state.folder / QUERIES_FILE).exists():
        known = Known(state.splits, state.id_of, state.rejected, state.graphless)
        file = state.folder / QUERIES_FILE
        queries = gather(query_rows(file, graphs, known, state.rejects, state.counts), QUERIES)
    counts = {name: state.counts[name] for name in _COUNTS}
    return Corpus(images, graphs, queries, state.rejects, counts, state.notes, alike)


def _cutting(corpus: CorpusParams) -> Cutting | None:
    if corpus.tile_size is None:
        return None
    return Cutting(
        corpus.tile_size, corpus.tile_overlap, corpus.tile_keep, corpus.tile_drop_cut, corpus.tile_objects
    )


def _name_images(state: State, only: Collection[str] | None) -> None:
    """Give every image file its id: the one of the graph that names the file, else its name."""
    state.counts["ignored_files"] = state.files.counts["ignored_files"] if state.files.top else 0
    state.notes.count("hidden_files", state.files.counts["hidden_files"])
    listed = {name for name in state.files.names if only is None or name in only}
    for _, value in brought_rows(state):
        try:
            graph = Record.checked(value)
            image_id = graph.identifier("image_id")
            if graph.optional("file_name") is not None:
                file = state.files.listed_as(state.files.find(image_id, graph.optional("file_name")))
                if file in listed and file not in state.id_of_file and image_id not in state.named:
                    state.named[image_id], state.id_of_file[file] = file, image_id
        except Rejected:
            continue  # it is reported when the row itself is read
    for file in state.files.names:
        if file not in listed:
            continue
        state.rejects.seen["images"] += 1
        if file in state.id_of_file:
            continue
        image_id = state.files.stem(file)
        if image_id in state.named:
            same_id = Rejected("another image has this id", "Rename the file", "image_id", image_id)
            state.rejects.add("images", state.folder / file, None, image_id, same_id)
        else:
            state.named[image_id] = file
            state.id_of_file[file] = image_id
    state.id_of_file = {name_in_images(file): image_id for file, image_id in state.id_of_file.items()}


def _look_at_images(state: State, workers: int, look: Look) -> None:
    ids = sorted(state.named)
    paths = [state.folder / state.named[image_id] for image_id in ids]
    title = f"{state.folder.name}: decode"
    sources = Progress(look_at_all(paths, workers, look), total=len(ids), unit="image", title=title)
    for image_id, path, source in zip(ids, paths, sources, strict=True):
        try:
            checks.text(image_id, "image_id", checks.ID_LENGTH)
            if source.probe.error is not None:
                raise Rejected(source.probe.error, source.probe.remedy, "file_name", state.named[image_id])
        except Rejected as error:
            _reject_image(state, image_id, error)
            continue
        state.sources[image_id] = source
        state.notes.count("images_turned", source.probe.turned, path)
        state.notes.count("images_rescaled", source.probe.rescaled, path)
        if source.lost is not None:
            state.notes.count("georeferences_left_out", first=f"{path}: {source.lost}. {source.lost.remedy}")


def _reject_image(state: State, image_id: str, error: Rejected) -> None:
    state.sources.pop(image_id, None)
    state.rejected[image_id] = error.reason
    state.rejects.add("images", state.folder / state.named[image_id], None, image_id, error)


def _read_annotations(state: State) -> Said:
    kind = registry.kind_of(state.folder)
    if kind is None:
        return Said(())
    images = {
        image_id: ImageFile(
            image_id, state.named[image_id], source.probe.width, source.probe.height, source.georeference
        )
        for image_id, source in state.sources.items()
    }
    return Said(kind.read(state.folder, images, state.notes, state.rejects))


def _assign(
    state: State, said: Said, columns: dict[str, Columns], alike: Sequence[Sequence[str]]
) -> Assigned:
    """Choose the split of every image; `state.splits` then has those of the pieces."""
    weights = Counter(piece.scene_id for piece in state.pieces.values())
    stated = _stated_by_people(state)
    placed = [
        Placed(
            image_id,
            state.sources[image_id].probe.sha256,
            weights[image_id],
            said.of(image_id).split or stated.get(image_id),
            _place(state, said, image_id),
            columns[image_id].crs,
            columns[image_id].bounds,
        )
        for image_id in sorted(weights)
    ]
    asked = state.params.place
    if asked is not None and placed and not any(image.place for image in placed):
        known = sorted({name for image_id in weights for name in said.of(image_id).extras})
        raise parameter_error(
            f"no image of {state.folder.name} has a column '{asked}'",
            f"{perhaps(asked, known)}Use {_FOLDER}"
            + (f", or one of {', '.join(known[:20])}" if known else ""),
            "corpus.place",
            asked,
        )
    # tiles of a field or of water look alike wherever they are
    whole = [[i for i in group if state.pieces[i].tile is None] for group in alike]
    together = whole if state.params.near_duplicates == "group" else ()
    assigned = assign(placed, state.params.split_seed, state.params.split_shares, together)
    state.counts["split_assumed"] = assigned.assumed
    state.counts["places"] = len(set(assigned.places.values()))
    for text in assigned.shared:
        state.notes.count("shared_places", first=text)
    state.splits = {i: assigned.splits[piece.scene_id] for i, piece in state.pieces.items()}
    return assigned


def _stated_by_people(state: State) -> dict[str, str]:
    """Splits that brought graphs state, or else most of the brought queries that name the image."""
    found: dict[str, str] = {}
    for _, value in brought_rows(state):
        try:
            graph = Record.checked(value)
            image_id = meant(state, graph)
            if graph.optional("family") is not None:
                state.families[image_id] = graph.identifier("family")
            if graph.optional("split") is not None:
                found.setdefault(state.pieces[image_id].scene_id, graph.choice("split", SPLITS))
        except Rejected:
            continue  # it is reported when the graph itself is read
    if (state.folder / QUERIES_FILE).exists():
        of_scenes: dict[str, Counter[str]] = {}
        for image_id, counted in votes(state.folder / QUERIES_FILE, state.id_of).items():
            if image_id in state.pieces:
                of_scenes.setdefault(state.pieces[image_id].scene_id, Counter()).update(counted)
        for image_id, counted in of_scenes.items():
            found.setdefault(image_id, counted.most_common(1)[0][0])
    return found


def _place(state: State, said: Said, image_id: str) -> str | None:
    asked = state.params.place
    if asked is None:
        return said.of(image_id).place
    if asked == _FOLDER:
        return PurePosixPath(state.named[image_id]).parent.as_posix()
    annotations = said.of(image_id)
    value = annotations.place if asked == "place" else annotations.extras.get(asked)
    return None if value is None else checks.printable(str(value))


def _image_rows(state: State, columns: dict[str, Columns], assigned: Assigned) -> Iterator[dict[str, Any]]:
    cut = {piece.scene_id for piece in state.pieces.values() if piece.tile is not None}
    state.counts["scenes_cut"] = len(cut)
    for image_id, piece in state.pieces.items():
        probe, tile = state.sources[piece.scene_id].probe, piece.tile
        state.counts["tiles"] += tile is not None
        yield {
            "image_id": image_id,
            "split": state.splits[image_id],
            "path": piece.path,
            "sha256": piece.sha256,
            "width": probe.width if tile is None else tile.w,
            "height": probe.height if tile is None else tile.h,
            "family": state.families.get(image_id) if tile is None else piece.scene_id,
            "place": assigned.places.get(piece.scene_id),
            "scene_id": None if tile is None else piece.scene_id,
            **columns[piece.scene_id].row(tile),
        }
