"""Tiles of photographs: as the stage `corpus` cuts them, or at random, turned and mirrored with their boxes.

Seen from above nothing has to be upright. So one photograph gives tiles in eight directions, and the graph of
each is made from the boxes as they lie then.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from embedded.photographs.photographs import Photograph
from pipeline.boxes.box import Box
from pipeline.boxes.graph import GraphMaker, median_sizes
from pipeline.corpus.tiles import Cutting, Tile, content, tiles
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects

_TRIES = 40  # windows for each tile that is wanted, at most


@dataclass(frozen=True)
class View:
    """A square window of the photograph `number`, mirrored or not, then turned left by `turns` right angles.

    `boxes` lie in the window's own pixels, as it is shown.
    """

    number: int
    tile: Tile
    mirrored: bool
    turns: int
    boxes: tuple[Box, ...]

    def picture(self, photograph: Image.Image) -> Image.Image:
        """The pixels of the window, as it is shown."""
        x, y, w, h = self.tile
        pixels = np.asarray(photograph.crop((x, y, x + w, y + h)))
        pixels = np.rot90(pixels[:, ::-1] if self.mirrored else pixels, self.turns)
        return Image.fromarray(np.ascontiguousarray(pixels))


def cut_views(photographs: Sequence[Photograph], cutting: Cutting) -> list[View]:
    """The tiles that the stage `corpus` keeps of larger photographs with boxes."""
    return [
        View(number, tile, False, 0, boxes)
        for number, photograph in enumerate(photographs)
        for tile in tiles(photograph.width, photograph.height, cutting)
        if (boxes := _boxes_of(photograph, tile, cutting)) is not None
    ]


def draw_views(
    photographs: Sequence[Photograph], each: int, cutting: Cutting, scale: float, rng: random.Random
) -> list[View]:
    """Up to `each` views of every photograph, at random.

    Args:
        cutting: the tile's usual size, and which tiles may stay (`corpus.tile_*` of params.yaml).
        scale: a tile's side is the usual one times 1 / `scale` to `scale`.
    """
    return [
        view
        for number, photograph in enumerate(photographs)
        for view in _drawn(number, photograph, each, cutting, scale, rng)
    ]


def _drawn(
    number: int, photograph: Photograph, each: int, cutting: Cutting, scale: float, rng: random.Random
) -> Iterator[View]:
    found = 0
    for _ in range(_TRIES * each):
        side = min(round(cutting.size * scale ** rng.uniform(-1, 1)), photograph.width, photograph.height)
        x, y = rng.randint(0, photograph.width - side), rng.randint(0, photograph.height - side)
        mirrored, turns = rng.random() < 0.5, rng.randrange(4)
        tile = Tile(x, y, side, side)
        if (boxes := _boxes_of(photograph, tile, cutting)) is None:
            continue
        yield View(number, tile, mirrored, turns, tuple(_moved(box, side, mirrored, turns) for box in boxes))
        found += 1
        if found == each:
            return


def _boxes_of(photograph: Photograph, tile: Tile, cutting: Cutting) -> tuple[Box, ...] | None:
    """The boxes of a tile, in its own pixels; None if it cuts one, or has too few or too many."""
    shown = content(photograph.boxes, tile, cutting.keep)
    least, most = cutting.objects or (0, len(photograph.boxes))
    return tuple(shown.boxes) if not shown.cut and least <= len(shown.boxes) <= most else None


def _moved(box: Box, side: int, mirrored: bool, turns: int) -> Box:
    """A box of a window of `side` pixels, after mirroring and turning."""
    outline = box.outline
    if mirrored:
        outline = tuple((side - x, y) for x, y in outline)
    for _ in range(turns):
        outline = tuple((y, side - x) for x, y in outline)
    return replace(box, outline=outline)


def with_graphs(views: Sequence[View]) -> tuple[list[View], list[GroupGraph]]:
    """The views that show something, and the scene graph of each, by the rules of the stage `corpus`."""
    sizes = median_sizes((view.boxes, view.tile.w, view.tile.h) for view in views)
    maker = GraphMaker(sizes)
    rows = (maker.make("", view.boxes, view.tile.w, view.tile.h) for view in views)
    pairs = zip(views, (group_objects(graph_from_row(row)) for row in rows), strict=True)
    kept = [(view, graph) for view, graph in pairs if graph.groups]
    return [view for view, _ in kept], [graph for _, graph in kept]
