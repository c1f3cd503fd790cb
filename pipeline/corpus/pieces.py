"""The images of a dataset's table: those of the folder as they are, and those that are rendered or cut."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.progress import Progress
from pipeline.corpus.checks import Rejected
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Job, Source, place, render_all
from pipeline.corpus.said import Said
from pipeline.corpus.tables import Notes
from pipeline.corpus.tiles import Content, Cutting, Tile, content, tiles

_PLAIN_NAME = re.compile(r"[\w.-]+(/[\w.-]+)*")
_NAME_BYTES = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A row of the table of images: a whole image, or a tile of one.

    `path` is relative to the project's root, `scene_id` the image's own id if it is whole; `looks` is the
    perceptual hash.
    """

    image_id: str
    scene_id: str
    tile: Tile | None
    path: str
    sha256: str
    looks: bytes


@dataclass(frozen=True)
class Workshop:
    """Where and how pieces are made; paths are relative to `root` where they are relative."""

    root: Path
    image_folder: Path
    cache: Path
    workers: int
    look: Look
    cutting: Cutting | None


def make_pieces(
    shop: Workshop,
    folder: Path,
    files: dict[str, str],
    sources: dict[str, Source],
    said: Said,
    notes: Notes,
) -> Iterator[Piece | tuple[str, Rejected]]:
    """The pieces of each image, in the order of `sources`; for one that cannot be rendered, why.

    The image folder is emptied first; what was rendered before comes from the cache.

    Args:
        folder: of the dataset, from the root.
        files: names of the image files from the dataset's folder, by id.
    """
    shutil.rmtree(shop.root / shop.image_folder, ignore_errors=True)
    plans = [(image_id, _plan(image_id, source, shop, said, notes)) for image_id, source in sources.items()]
    to_render = [(i, plan) for i, plan in plans if plan is not None and (plan or sources[i].why is not None)]
    jobs = (Job(shop.root / folder / files[i], sources[i], plan) for i, plan in to_render)
    rendered = render_all(jobs, shop.workers, shop.look, shop.cache)
    progress = Progress(total=len(to_render), title=f"{folder.name}: render", unit="image")
    with progress:
        for image_id, plan in plans:
            source = sources[image_id]
            if plan is None:
                continue  # cut, but no tile is left
            if not plan and source.why is None:
                path = (folder / files[image_id]).as_posix()
                yield Piece(image_id, image_id, None, path, source.probe.sha256, source.probe.looks)
                continue
            result = next(rendered)
            progress.update()
            if result.error is not None:
                yield image_id, Rejected(result.error, result.remedy, "file_name", files[image_id])
                continue
            for tile, shown in zip(plan or (None,), result.pictures, strict=True):
                if shown is None:
                    notes.count("tiles_empty", first=image_id)
                    continue
                piece_id = image_id if tile is None else tile_id(image_id, tile)
                while tile is not None and piece_id in files:
                    piece_id += "_"
                path = (shop.image_folder / _file_name(piece_id, shown.sha256)).as_posix()
                place(shop.cache, shown.sha256, shop.root / path)
                yield Piece(piece_id, image_id, tile, path, shown.sha256, bytes.fromhex(shown.looks))


def tile_id(image_id: str, tile: Tile) -> str:
    """The id of a tile: its image's, and where its top left corner lies there."""
    return f"{image_id}_{tile.x}_{tile.y}"


def content_of(piece: Piece, said: Said, cutting: Cutting | None) -> Content | None:
    """The objects that a piece shows; None if nothing speaks of its image."""
    boxes = said.of(piece.scene_id).boxes
    if boxes is None:
        return None
    if piece.tile is None or cutting is None:
        return Content(boxes, 0)
    return content(boxes, piece.tile, cutting.keep)


def _plan(image_id: str, source: Source, shop: Workshop, said: Said, notes: Notes) -> tuple[Tile, ...] | None:
    """The tiles to render; () for an image that is not cut, None if no tile may stay."""
    if shop.cutting is None:
        return ()
    parts = tiles(source.probe.width, source.probe.height, shop.cutting)
    if not parts:
        return ()
    boxes = said.of(image_id).boxes
    if boxes is None:
        return tuple(parts)
    kept = []
    for tile in parts:
        shown = content(boxes, tile, shop.cutting.keep)
        notes.count("objects_cut", shown.cut)
        if shown.cut and shop.cutting.drop_cut:
            notes.count("tiles_cut", first=tile_id(image_id, tile))
        elif (
            shop.cutting.objects
            and not shop.cutting.objects[0] <= len(shown.boxes) <= shop.cutting.objects[1]
        ):
            notes.count("tiles_few_or_many", first=tile_id(image_id, tile))
        else:
            kept.append(tile)
    return tuple(kept) or None


def _file_name(piece_id: str, name: str) -> str:
    """A file name that any disk can hold: the id if it is plain, else the hash of the content."""
    plain = _PLAIN_NAME.fullmatch(piece_id) and not {"..", "."} & set(piece_id.split("/"))
    return f"{piece_id if plain and len(piece_id.encode()) <= _NAME_BYTES else name}.png"
