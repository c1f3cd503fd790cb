"""Random tiles of photographs, turned and mirrored with their boxes: what is where changes, and its words.

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
from pipeline.corpus.tiles import Cutting, Tile, content
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects

_TRIES = 40  # windows for each tile that is wanted, at most


@dataclass(frozen=True)
class View:
    """A square window of the photograph `number`, mirrored or not, then turned by `turns` right angles.

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


def draw_views(
    photographs: Sequence[Photograph], each: int, cutting: Cutting, scale: float, rng: random.Random
) -> list[View]:
    """Up to `each` views of every photograph, none of which cuts an object.

    Args:
        cutting: the tile's usual size, and which tiles may stay (`corpus.tile_*` of params.yaml).
        scale: a tile's side is the usual one times 1 / `scale` to `scale`, at random.
    """
    return [
        view
        for number, photograph in enumerate(photographs)
        for view in _views(number, photograph, each, cutting, scale, rng)
    ]


def _views(
    number: int, photograph: Photograph, each: int, cutting: Cutting, scale: float, rng: random.Random
) -> Iterator[View]:
    least, most = cutting.objects or (0, len(photograph.boxes))
    found = 0
    for _ in range(_TRIES * each):
        side = min(round(cutting.size * scale ** rng.uniform(-1, 1)), photograph.width, photograph.height)
        x, y = rng.randint(0, photograph.width - side), rng.randint(0, photograph.height - side)
        mirrored, turns = rng.random() < 0.5, rng.randrange(4)
        tile = Tile(x, y, side, side)
        shown = content(photograph.boxes, tile, cutting.keep)
        if shown.cut or not least <= len(shown.boxes) <= most:
            continue
        boxes = tuple(_moved(box, side, mirrored, turns) for box in shown.boxes)
        yield View(number, tile, mirrored, turns, boxes)
        found += 1
        if found == each:
            return


def _moved(box: Box, side: int, mirrored: bool, turns: int) -> Box:
    """A box of a window with `side` pixels after mirroring and turning to the left."""
    outline = box.outline
    if mirrored:
        outline = tuple((side - x, y) for x, y in outline)
    for _ in range(turns):
        outline = tuple((y, side - x) for x, y in outline)
    return replace(box, outline=outline)


def graphs_of(views: Sequence[View], sizes: dict[str, float]) -> list[GroupGraph]:
    """The scene graph of each view, as the stage `corpus` makes them.

    Args:
        sizes: the usual share of a tile for each class, from `usual_sizes`.
    """
    maker = GraphMaker(sizes)
    rows = (maker.make("", view.boxes, view.tile.w, view.tile.h) for view in views)
    return [group_objects(graph_from_row(row)) for row in rows]


def usual_sizes(views: Sequence[View]) -> dict[str, float]:
    """The median share of the image for each class whose size may be said."""
    return median_sizes((view.boxes, view.tile.w, view.tile.h) for view in views)
