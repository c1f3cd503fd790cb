"""What the encoder is pretrained on: nothing of what is kept from it, in the words of its own world."""

from collections import Counter

import numpy as np
import pytest

from embedded.vlm.general_world import (
    ADJECTIVES,
    KEPT_COLOURS,
    KEPT_GROUNDS,
    KEPT_OBJECTS,
    NAMES,
    RELATIONS,
    belongs,
    general_family,
    general_scene,
    graph_of,
)
from embedded.world.draws import hashed_rng
from embedded.world.edits import fits
from embedded.world.model import Scene
from embedded.world.scene import GROUNDS
from embedded.world.vocabulary import COLOURS, DATASET_OBJECTS, EDIT_KINDS, OBJECTS, PREDICATES, SIZES


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [general_scene(hashed_rng("test", number), number) for number in range(400)]


def test_each_dataset_has_objects_grounds_and_words_that_are_kept() -> None:
    for dataset, names in DATASET_OBJECTS.items():
        assert len(KEPT_OBJECTS & set(names)) == 3, dataset
        assert set(names) & NAMES.keys(), dataset
    assert OBJECTS.keys() >= KEPT_OBJECTS
    assert COLOURS.keys() >= KEPT_COLOURS
    assert {ground for grounds in GROUNDS.values() for ground in grounds} >= KEPT_GROUNDS
    assert all(set(grounds) - KEPT_GROUNDS for grounds in GROUNDS.values())
    assert ADJECTIVES.keys() <= COLOURS.keys() | SIZES.keys()
    assert RELATIONS.keys() <= PREDICATES.keys()


def test_nothing_that_is_kept_is_drawn_and_all_else_is(scenes: list[Scene]) -> None:
    assert all(map(belongs, scenes))
    names = Counter(group.name for scene in scenes for group in scene.groups)
    assert names.keys() == OBJECTS.keys() - KEPT_OBJECTS
    assert {g.colour for scene in scenes for g in scene.groups} - {None} == COLOURS.keys() - KEPT_COLOURS
    assert {scene.site.ground for scene in scenes} == set().union(*GROUNDS.values()) - KEPT_GROUNDS


def test_a_scene_can_be_laid_out(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert all(fits(scene, group) for group in scene.groups)
        related = [scene.group(uid).name for uid in scene.related()]
        assert all(sum(group.name == name for group in scene.groups) == 1 for name in related)


def test_objects_of_several_themes_stand_beside_each_other(scenes: list[Scene]) -> None:
    def themes(scene: Scene) -> int:
        names = {group.name for group in scene.groups}
        return min(len(names - set(objects)) for objects in DATASET_OBJECTS.values())

    assert sum(themes(scene) > 0 for scene in scenes) > 200


def test_graphs_have_the_words_of_this_world(scenes: list[Scene]) -> None:
    other = NAMES.keys() | ADJECTIVES.keys() | RELATIONS.keys()
    said: set[str] = set()
    for scene in scenes:
        graph = graph_of(scene)
        said |= {word for group in graph.groups for word in (group.name, *group.attributes)}
        said |= {predicate for _, predicate, _ in graph.relations}
        assert len(graph.groups) == len(scene.groups)
    assert not said & other
    assert said >= {*NAMES.values(), *ADJECTIVES.values(), *RELATIONS.values()}


def test_a_family_is_a_scene_and_one_change_of_each_kind() -> None:
    for number in range(12):
        rng: np.random.Generator = hashed_rng("family", number)
        family, kinds = general_family(rng, number, 4)
        assert kinds[0] == ""
        assert len(set(kinds[1:])) == 4
        assert set(kinds[1:]) <= set(EDIT_KINDS)
        assert all(map(belongs, family))
        assert len({graph_of(scene) for scene in family}) == 5
        assert {scene.site for scene in family} == {family[0].site}
