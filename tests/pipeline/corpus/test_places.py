"""Images of one place lie in one split."""

from collections import Counter, defaultdict

import pytest

from pipeline.corpus.places import Placed, assign

SHARES = (0.7, 0.15, 0.15)


def _placed(name: str, **values: object) -> Placed:
    return Placed(name, f"content of {name}", **values)  # type: ignore[arg-type]


def _box(x: float, y: float, side: float = 10) -> tuple[float, float, float, float]:
    return x, y, x + side, y + side


def test_a_stated_place_lies_in_one_split_by_the_shares() -> None:
    images = [_placed(f"{i:04d}", place=f"site{i % 40}") for i in range(2000)]
    found = assign(images, 0, SHARES)
    by_place = defaultdict(set)
    for image in images:
        by_place[image.place].add(found.splits[image.image_id])
    assert all(len(splits) == 1 for splits in by_place.values())
    counts = Counter(found.splits.values())
    assert counts == {"train": 1400, "val": 300, "test": 300} and found.assumed == 2000
    assert found.places["0041"] == "site1" and not found.shared
    assert assign(images, 0, SHARES).splits == found.splits
    assert assign(images, 1, SHARES).splits != found.splits


@pytest.mark.parametrize("seed", range(20))
def test_no_split_is_empty_where_there_are_three_places(seed: int) -> None:
    images = [
        _placed(f"{place}-{i}", place=place) for place, n in (("a", 90), ("b", 5), ("c", 5)) for i in range(n)
    ]
    assert set(assign(images, seed, SHARES).splits.values()) == {"train", "val", "test"}
    assert set(assign(images, seed, (0.8, 0.2, 0)).splits.values()) == {"train", "val"}


def test_images_that_overlap_on_the_map_are_one_place() -> None:
    images = [
        _placed("a", crs="EPSG:32633", bounds=_box(0, 0)),
        _placed("b", crs="EPSG:32633", bounds=_box(9, 9)),
        _placed("c", crs="EPSG:32633", bounds=_box(18, 9)),  # by way of b
        _placed("d", crs="EPSG:32633", bounds=_box(28, 9)),  # shares an edge with c, no area
        _placed("e", crs="EPSG:32634", bounds=_box(0, 0)),  # another map
        _placed("f", crs="EPSG:32633", bounds=_box(2000, 0, 3000)),  # far larger than the others
        _placed("g", crs="EPSG:32633", bounds=_box(4999, 2999)),
        _placed("h"),
    ]
    found = assign(images, 0, SHARES)
    assert found.places == {"a": "a", "b": "a", "c": "a", "f": "f", "g": "f"}
    for one, other in (("a", "b"), ("a", "c"), ("f", "g")):
        assert found.splits[one] == found.splits[other]


def test_a_wide_box_among_many_small_ones_is_compared_with_all() -> None:
    images = [_placed(f"{i:05d}", bounds=_box(i * 20, 0)) for i in range(300)]
    wide = [_placed("wide", bounds=(-1e9, -1e9, 101, 1e9))]
    found = assign([*images, *wide], 0, SHARES)
    together = [name for name, place in found.places.items() if place == "00000"]
    assert together == ["00000", "00001", "00002", "00003", "00004", "00005", "wide"]


def test_stated_splits_win_and_their_place_follows() -> None:
    images = [
        _placed("a", place="x", split="test"),
        _placed("b", place="x"),
        _placed("c", place="y", split="train"),
        _placed("d", place="y", split="val"),
        _placed("e", place="y"),
    ]
    found = assign(images, 0, SHARES)
    assert found.splits == {"a": "test", "b": "test", "c": "train", "d": "val", "e": "train"}
    assert found.assumed == 0
    assert found.shared == ["y: 'c' (train), 'd' (val)"]


def test_equal_files_go_together() -> None:
    for seed in range(10):
        images = [Placed("a", "same"), Placed("b", "same"), *(_placed(f"c{i}") for i in range(9))]
        splits = assign(images, seed, SHARES).splits
        assert splits["a"] == splits["b"]


def test_shares_count_the_tiles_that_images_become() -> None:
    images = [_placed(f"{i}", weight=100 if i == 3 else 1) for i in range(9)]
    assert assign(images, 0, SHARES).splits["3"] == "train"


def test_many_images_are_placed_by_a_grid() -> None:
    images = [_placed(f"{i:06d}", bounds=_box(i % 300 * 9, i // 300 * 20)) for i in range(30_000)]
    found = assign(images, 0, SHARES)
    assert len(set(found.places.values())) == 100
