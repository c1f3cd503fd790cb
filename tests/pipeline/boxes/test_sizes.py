"""Small and large beside the class's median."""

import random

import pytest

from pipeline.boxes.box import Box
from pipeline.boxes.sizes import FEWEST, LARGE, SMALL, median_sizes, size_word

Image = tuple[list[Box], int, int]


def _images(*images: list[float], name: str = "Planes") -> list[Image]:
    """An image for each list of areas."""
    return [([Box.upright(name, 10, 10, area / 10, 10) for area in areas], 200, 100) for areas in images]


def test_the_median_share_of_a_class() -> None:
    images = _images(*[[100, 200, 400, 500]] * 5, [200])
    assert median_sizes(images) == {"plane": pytest.approx(200 / 20_000, rel=0.01)}


def test_the_order_of_the_images_does_not_matter() -> None:
    rng = random.Random(0)
    images = _images(*([rng.uniform(50, 1500) for _ in range(3)] for _ in range(40)))
    sizes = median_sizes(images)
    rng.shuffle(images)
    assert median_sizes(iter(images)) == sizes
    exact = sorted(box.bounds[2] * 10 / 20_000 for boxes, _, _ in images for box in boxes)[59]
    assert sizes["plane"] == pytest.approx(exact, rel=0.01)


def test_thresholds() -> None:
    sizes = {"plane": 0.01, "small vehicle": 0.01}
    assert size_word("plane", 0.01 * SMALL * 0.99, sizes) == "small"
    assert size_word("plane", 0.01 * SMALL * 1.01, sizes) is None
    assert size_word("plane", 0.01 * LARGE * 0.99, sizes) is None
    assert size_word("plane", 0.01 * LARGE * 1.01, sizes) == "large"
    assert size_word("ship", 0.5, sizes) is None
    assert size_word("small vehicle", 0.5, sizes) is None
    assert size_word("plane", 0.0, sizes) is None


def test_a_class_of_few_objects_has_no_usual_size() -> None:
    few = _images(*[[100, 400]] * (FEWEST // 2 - 1), [200])
    assert median_sizes(few) == {}
    assert median_sizes([*few, *_images([200])]).keys() == {"plane"}


def test_sizes_that_tell_only_the_scale_of_the_image_are_not_said() -> None:
    scales = [1, 3, 9, 30, 90]
    alike = [[10.0 * scale, 11.0 * scale, 9.5 * scale] for scale in scales * 3]
    differing = [[10.0 * scale, 40.0 * scale, 2.5 * scale] for scale in scales * 3]
    assert median_sizes(_images(*alike)) == {}
    assert median_sizes(_images(*differing)).keys() == {"plane"}


def test_one_object_an_image_leaves_the_scale_unknown() -> None:
    assert median_sizes(_images(*([100.0 * (1 + i % 7)] for i in range(30)))).keys() == {"plane"}


def test_cut_objects_and_such_without_area_do_not_count() -> None:
    whole = _images(*[[100, 200, 400]] * 10)
    cut = [([Box.upright("plane", 0, 10, 80, 80), Box.upright("plane", 9, 9, 0, 5)], 200, 100)] * 50
    assert median_sizes([*whole, *cut]) == median_sizes(whole)
