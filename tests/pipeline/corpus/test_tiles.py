"""Large images are cut into tiles, and boxes follow them."""

import pytest

from pipeline.boxes.box import Box
from pipeline.corpus.tiles import Cutting, Tile, content, share_inside, tiles


def test_tiles_cover_the_image_and_end_at_its_edge() -> None:
    found = tiles(250, 100, Cutting(100, overlap=20))
    assert found == [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100), Tile(150, 0, 100, 100)]
    covered = {(x, y) for tile in tiles(33, 47, Cutting(16, 5)) for x in range(tile.x, tile.x + tile.w)
               for y in range(tile.y, tile.y + tile.h)}  # fmt: skip
    assert covered == {(x, y) for x in range(33) for y in range(47)}


def test_an_image_of_one_tile_is_not_cut_and_a_narrow_one_is_cut_along() -> None:
    assert tiles(100, 100, Cutting(100)) == []
    assert tiles(60, 150, Cutting(100)) == [Tile(0, 0, 60, 100), Tile(0, 50, 60, 100)]


def test_a_box_belongs_to_a_tile_is_cut_by_it_or_lies_elsewhere() -> None:
    tile = Tile(100, 100, 50, 50)
    inside = Box.upright("a", 110, 120, 10, 10)
    mostly = Box.upright("b", 92, 100, 40, 10)  # 80 %
    cut = Box.upright("c", 90, 100, 40, 10)  # 75 %
    barely = Box.upright("d", 60, 100, 50, 10)  # 20 %
    away = Box.upright("e", 0, 0, 50, 50)
    found = content([inside, mostly, cut, barely, away], tile, keep=0.8)
    assert [(box.name, box.bounds) for box in found.boxes] == [
        ("a", (10, 20, 10, 10)),
        ("b", (-8, 0, 40, 10)),
    ]
    assert found.cut == 1
    assert content([cut], tile, keep=0.75).cut == 0


def test_the_share_inside_is_that_of_the_outline_not_of_its_upright_box() -> None:
    diamond = Box("a", ((50, 0), (100, 50), (50, 100), (0, 50)), oriented=True)
    assert share_inside(diamond, Tile(0, 0, 50, 50)) == pytest.approx(0.25)
    assert share_inside(diamond, Tile(0, 0, 25, 25)) == pytest.approx(
        0.0
    )  # a corner of the upright box alone
    assert share_inside(diamond, Tile(0, 0, 100, 25)) == pytest.approx(0.125)
    moved = content([diamond], Tile(0, 0, 100, 100), keep=0.8).boxes[0]
    assert moved == diamond
    hollow = Box("l", ((0, 0), (40, 0), (40, 10), (10, 10), (10, 40), (0, 40)))  # an L of 700 pixels
    assert share_inside(hollow, Tile(0, 0, 20, 40)) == pytest.approx(500 / 700)


def test_a_point_belongs_to_one_tile() -> None:
    point = Box("p", ((100.0, 30.0),) * 4)
    assert [share_inside(point, tile) for tile in (Tile(0, 0, 100, 100), Tile(100, 0, 100, 100))] == [0, 1]
