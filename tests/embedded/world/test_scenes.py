"""Scenes: exact graphs, no overlaps, drawn the same in any process."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from embedded.world.edits import as_group, random_change, sample_scene
from embedded.world.layout import CELL, layout
from embedded.world.model import POSITION_NAMES, Scene
from embedded.world.render import render
from embedded.world.scene import sample_base, sample_site, scene_graph
from embedded.world.sprites import sprite
from embedded.world.vocabulary import COLOURS, DATASET_OBJECTS, DATASETS, EDIT_KINDS, OBJECTS, PREDICATES
from pipeline.graph.edits import apply_edits
from pipeline.graph.scene_graph import group_objects, position_of

SIZE = 256


def scenes(count: int, seed: int) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, DATASETS[k % len(DATASETS)]) for k in range(count)]


@pytest.mark.parametrize("size", [128, 256, 300])
def test_graph_groups_are_the_groups_of_the_scene(size: int) -> None:
    for scene in scenes(200, 1):
        grouped = group_objects(scene_graph(scene, size))
        assert grouped.groups == tuple(as_group(group) for group in scene.groups)
        assert 3 <= len(grouped.groups) <= 7
        assert len(grouped.relations) == len(scene.relations) in (1, 2)


def test_objects_lie_in_their_cell_and_apart() -> None:
    for scene in scenes(400, 2):
        placed = layout(scene)
        for one in placed:
            cell = scene.group(one.uid).position
            row, column = divmod(POSITION_NAMES.index(cell), 3)
            assert position_of((one.x, one.y, 0, 0), SIZE, SIZE) == cell
            for centre, half, k in ((one.x, one.width / 2, column), (one.y, one.height / 2, row)):
                assert k * CELL - 0.01 <= centre - half and centre + half <= (k + 1) * CELL + 0.01
            assert max(one.width, one.height) >= 15.5
        for k, one in enumerate(placed):
            for other in placed[:k]:
                apart_x = abs(one.x - other.x) >= (one.width + other.width) / 2
                apart_y = abs(one.y - other.y) >= (one.height + other.height) / 2
                assert apart_x or apart_y, (one, other)


def test_relations_are_true_in_the_picture() -> None:
    for scene in scenes(400, 3):
        placed = layout(scene)
        for relation in scene.relations:
            (anchor,) = (one for one in placed if one.uid == relation.anchor)
            dx, dy = PREDICATES[relation.predicate]
            for one in (one for one in placed if one.uid == relation.satellite):
                along = dx * (one.x - anchor.x) + dy * (one.y - anchor.y)
                reach = (abs(dx) * (one.width + anchor.width) + abs(dy) * (one.height + anchor.height)) / 2
                assert reach < along < reach + 6


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_edits_turn_the_base_graph_into_the_changed_one(kind: str) -> None:
    rng = np.random.default_rng(4)
    made = 0
    for k in range(500):
        base = sample_base(rng, DATASETS[k % 3])
        change = random_change(rng, base, kind)
        if change is None:
            continue
        made += 1
        changed = group_objects(scene_graph(change.apply(base)))
        assert apply_edits(group_objects(scene_graph(base)), change.edits(base)) == changed
        assert changed != group_objects(scene_graph(base))
    assert made > 400


def test_a_change_leaves_all_other_objects_where_they_are() -> None:
    rng = np.random.default_rng(5)
    for k in range(300):
        base = sample_base(rng, DATASETS[k % 3])
        change = random_change(rng, base)
        if change is None:
            continue
        touched = {group.uid for group in (change.old, change.new) if group}
        for relation in base.relations:  # a satellite keeps touching its anchor
            if relation.anchor in touched or relation == change.relation:
                touched |= {relation.satellite, relation.anchor}
        rest = [one for one in layout(base) if one.uid not in touched]
        assert rest == [one for one in layout(change.apply(base)) if one.uid not in touched]


def test_picture_changes_only_around_the_changed_group() -> None:
    rng = np.random.default_rng(6)
    base = sample_base(rng, "airplane")
    change = random_change(rng, base, "recolour")
    assert change is not None and change.old is not None
    differs = np.abs(render(base).astype(int) - render(change.apply(base)).astype(int)).max(axis=2) > 0
    row, column = divmod(POSITION_NAMES.index(change.old.position), 3)
    inside = np.zeros_like(differs)
    inside[int(row * CELL) : int((row + 1) * CELL) + 1, int(column * CELL) : int((column + 1) * CELL) + 1] = (
        True
    )
    assert differs.any() and not (differs & ~inside).any()


def test_places_look_different() -> None:
    rng = np.random.default_rng(7)
    for theme in DATASETS:
        base = sample_base(rng, theme)
        twin = base.at(sample_site(rng, base.scene, unlike=base.site))
        assert group_objects(scene_graph(base)) == group_objects(scene_graph(twin))
        assert np.abs(render(base).astype(int) - render(twin).astype(int)).mean() > 12


@pytest.mark.parametrize("size", [96, 256])
def test_render_is_a_uint8_picture(size: int) -> None:
    picture = render(scenes(1, 8)[0], size)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8


def test_named_colours_can_be_told_from_each_other_and_from_unnamed_ones() -> None:
    colours = [np.array(rgb, float) for rgb in COLOURS.values()]
    natural = [np.array(kind.natural, float) for kind in OBJECTS.values() if kind.colourable]
    for k, colour in enumerate(colours):
        for other in colours[:k] + natural:
            assert np.linalg.norm(colour - other) > 50


def test_every_name_has_a_silhouette_and_no_two_are_the_same() -> None:
    names = {name for objects in DATASET_OBJECTS.values() for name in objects}
    assert names == set(OBJECTS)
    assert len({sprite(name).points.tobytes() for name in names}) == len(names)


_DIGEST = """
import hashlib, numpy as np
from embedded.world.edits import sample_scene
from embedded.world.render import render
rng = np.random.default_rng(9)
scenes = [sample_scene(rng, theme) for theme in ("airplane", "tennis", "mixed") for _ in range(2)]
print(hashlib.sha256(b"".join(render(scene).tobytes() for scene in reversed(scenes))).hexdigest())
"""


def test_another_process_draws_the_same_bytes() -> None:
    rng = np.random.default_rng(9)
    drawn = [render(sample_scene(rng, theme)) for theme in ("airplane", "tennis", "mixed") for _ in range(2)]
    here = hashlib.sha256(b"".join(picture.tobytes() for picture in reversed(drawn))).hexdigest()
    there = subprocess.run([sys.executable, "-c", _DIGEST], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
