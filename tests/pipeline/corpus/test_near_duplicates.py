"""Near-duplicates: copies and frames are found, other pictures are not, and time and memory stay bounded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from pipeline.base.images import probe, probe_all
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.picture_hash import picture_hash
from pipeline.corpus.near_duplicates import MAX_DISTANCE, across_splits, groups
from pipeline.corpus.places import Placed, assign
from stages import corpus

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared"


def _scene(seed: int, size: int = 160) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def _with_car(image: Image.Image, x: int) -> Image.Image:
    changed = image.copy()
    changed.paste((250, 250, 250), (x, 60, x + 12, 68))
    return changed


def test_copies_and_frames_form_a_group_and_other_scenes_do_not() -> None:
    first, second = _scene(1), _scene(2)
    pictures = {
        "a": first,
        "z": second,
        "smaller": first.resize((90, 90)),
        "poor": _as_jpeg(first, 20),
        "darker": ImageEnhance.Brightness(first).enhance(0.6),
        "grey": first.convert("L"),
        "palette": first.convert("P", palette=Image.Palette.ADAPTIVE),
        "ink": first.convert("CMYK"),
        "frame": _with_car(first, 70),
        "frame of z": _with_car(second, 20),
        **{f"other {seed}": _scene(seed) for seed in range(3, 60)},
    }
    hashes = {name: picture_hash(image) for name, image in pictures.items()}
    copies = ["a", "smaller", "poor", "darker", "grey", "palette", "ink", "frame"]
    assert groups(hashes) == [copies, ["z", "frame of z"]]


def test_a_picture_with_little_to_see_has_no_hash_and_is_like_no_other() -> None:
    empty = Image.new("RGB", (64, 64), "blue")
    corner = empty.copy()
    corner.paste(_scene(4, 24), (0, 0))
    assert picture_hash(empty) == picture_hash(corner) == b""
    assert groups({"a": b"", "b": b""}) == [] == groups({})


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_kind_of_picture_has_a_hash(mode: str) -> None:
    image = _scene(5) if mode != "LAB" else Image.merge("LAB", _scene(5).split())
    assert len(picture_hash(image if mode == "LAB" else image.convert(mode))) == 16


def test_a_large_picture_is_hashed_as_its_small_copy() -> None:
    assert groups({"a": picture_hash(_scene(6)), "b": picture_hash(_scene(6, 1500))}) == [["a", "b"]]


def test_groups_are_all_that_a_comparison_of_all_pairs_finds() -> None:
    chance = np.random.default_rng(0)
    values = chance.integers(0, 2**64, (40, 2), dtype=np.uint64)[chance.integers(0, 40, 300)]
    for _ in range(7):
        values ^= np.uint64(1) << chance.integers(0, 64, values.shape).astype(np.uint64)
    distance = np.bitwise_count(values[:, None] ^ values[None]).max(axis=2)
    label = np.arange(300)
    for _ in range(300):  # each picture takes the smallest label of those that it is like
        label = np.where(distance <= MAX_DISTANCE, label[None], 300).min(axis=1)
    expected = {tuple(np.flatnonzero(label == one)) for one in set(label) if (label == one).sum() > 1}
    found = groups({str(i): value.tobytes() for i, value in enumerate(values)})
    assert {tuple(map(int, group)) for group in found} == expected and len(expected) > 20


def test_pictures_of_val_and_test_are_counted_and_the_first_groups_are_named() -> None:
    splits = {"a": "train", "b": "test", "c": "test", "d": "val", "e": "val", "f": "test", "g": "val"}
    found = [["a", "b", "c"], ["d", "e"], ["f", "g"]]
    assert across_splits(found, splits) == (4, ["'a' (train), 'b' (test)", "'f' (test), 'g' (val)"])


def test_images_that_look_alike_get_one_split_where_nothing_states_it() -> None:
    images = [Placed(f"{i:03d}", str(i), split="test" if i == 7 else None) for i in range(60)]
    alike = [[f"{i:03d}" for i in range(20, 30)], ["007", "050"]]
    apart, together = (assign(images, 0, (0.5, 0.25, 0.25), near) for near in ((), alike))
    assert len({apart.splits[image_id] for image_id in alike[0]}) > 1
    assert len({together.splits[image_id] for image_id in alike[0]}) == 1
    assert together.splits["050"] == "test" and together.places == {} and together.shared == []
    assert set(together.splits.values()) == {"train", "val", "test"} and len(together.splits) == 60


def test_near_duplicates_that_are_stated_in_two_splits_stay_there() -> None:
    images = [Placed("a", "1", split="train"), Placed("b", "2", split="test"), Placed("c", "3")]
    assigned = assign(images, 0, (1, 0, 0), [["a", "b", "c"]])
    assert assigned.splits == {"a": "train", "b": "test", "c": "train"} and assigned.shared == []


@pytest.mark.parametrize("asked", ["group", "count"])
def test_frames_in_a_folder_of_images_alone(tmp_path: Path, asked: str) -> None:
    folder = tmp_path / "in/frames/images"
    folder.mkdir(parents=True)
    for number in range(24):
        _with_car(_scene(number % 4), 10 + 5 * number).save(folder / f"{number:02d}.png")
    paths, params = Paths(tmp_path), load_params(ROOT / "params.yaml")
    changes = {"root": "in", "near_duplicates": asked, "split_shares": (0.4, 0.3, 0.3)}
    changed = {"datasets": ("frames",), "corpus": params.corpus.model_dump() | changes}
    corpus.run(Params.model_validate(params.model_dump() | changed), paths)
    count = read_metrics(paths.metrics("corpus"))["frames"]["near_duplicates_across_splits"]
    assert count == 0 if asked == "group" else count > 0


def test_a_probe_says_how_a_picture_looks(tmp_path: Path) -> None:
    _scene(1).save(tmp_path / "a.png")
    assert probe(tmp_path / "a.png").looks == picture_hash(_scene(1))


def test_frames_of_one_video_are_found_in_several_splits() -> None:
    if not (SHARED / "cars").is_dir():
        pytest.skip("the photographs of cars are not beside the repository")
    files = sorted((SHARED / "cars/images").rglob("*.jpg"))
    hashes = {file.name: one.looks for file, one in zip(files, probe_all(files, 1), strict=True)}
    splits = {file.name: file.parent.name for file in files}
    count, shown = across_splits(groups(hashes), splits)
    assert count == 29 and shown[0] == "'car353.jpg' (test), 'car064.jpg' (train), 'car326.jpg' (valid)"


def test_photographs_of_different_places_raise_no_alarm() -> None:
    if not (SHARED / "airports").is_dir():
        pytest.skip("the photographs of airports are not beside the repository")
    for folder, place_of in (("airports", lambda name: name[:6]), ("tennis-courts", lambda name: name)):
        files = sorted((SHARED / folder / "images").iterdir())
        hashes = {file.name: one.looks for file, one in zip(files, probe_all(files, 1), strict=True)}
        assert all(len({place_of(name) for name in group}) == 1 for group in groups(hashes))
