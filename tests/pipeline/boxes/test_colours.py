"""Named colours of objects."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipeline.boxes.box import Box
from pipeline.boxes.colours import COLOURS, colour_name, colour_word, lab
from pipeline.boxes.graph import GraphMaker

BOX = ((20, 20), (60, 20), (60, 50), (20, 50))


def test_known_colours_in_cielab() -> None:
    # of the sRGB primaries under D65, as in Lindbloom's calculator
    rgb = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]
    expected = [
        (100, 0, 0), (0, 0, 0), (53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86),
        (53.59, 0, 0),
    ]  # fmt: skip
    np.testing.assert_allclose(lab(rgb), expected, atol=0.02)


@pytest.mark.parametrize("name", COLOURS)
def test_every_colour_has_its_own_name(name: str) -> None:
    assert colour_name(COLOURS[name]) == name


@pytest.mark.parametrize("rgb", [(185, 185, 185), (255, 0, 255), (90, 130, 130)])
def test_unclear_colours_have_no_name(rgb: tuple[int, int, int]) -> None:
    assert colour_name(rgb) is None


def _picture(fill: str, ground: str = "#777766") -> Image.Image:
    image = Image.new("RGB", (100, 80), ground)
    ImageDraw.Draw(image).rectangle((20, 20, 60, 50), fill=fill)
    return image


def test_the_inner_part_of_the_outline_counts() -> None:
    assert colour_word(_picture("#b92d28"), BOX) == "red"
    image = _picture("#b92d28")
    ImageDraw.Draw(image).rectangle((34, 29, 40, 33), fill="#ffffff")  # a window
    assert colour_word(image, BOX) == "red"
    ImageDraw.Draw(image).rectangle((30, 27, 41, 43), fill="#ffffff")  # half of it
    assert colour_word(image, BOX) is None


def test_what_looks_like_its_surroundings_has_no_colour() -> None:
    assert colour_word(_picture("#7d7d7d", ground="#787878"), BOX) is None
    assert colour_word(_picture("#7d7d7d", ground="#324b28"), BOX) == "grey"


def test_an_object_that_fills_the_image_or_one_pixel_is_no_error() -> None:
    image = _picture("#b92d28", ground="#b92d28")
    assert colour_word(image, ((0, 0), (100, 0), (100, 80), (0, 80))) == "red"
    assert colour_word(image, ((99.6, 79.6), (100, 79.6), (100, 80), (99.6, 80))) == "red"
    assert colour_word(image, ((100, 80),)) is None


def test_colours_are_attributes_only_where_they_are_asked_for() -> None:
    box = Box("car", BOX)
    image = _picture("#b92d28").quantize(16)
    asked = GraphMaker({}, colours=True).make("i", [box], 100, 80, image=image)
    assert asked["objects"][0]["attributes"] == ["red"]
    assert GraphMaker({}).make("i", [box], 100, 80, image=image)["objects"][0]["attributes"] == []
