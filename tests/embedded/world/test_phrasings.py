"""Modification texts: well formed, unambiguous, held-out ones in test alone."""

import re

import numpy as np
import pytest

from embedded.world.edits import random_change
from embedded.world.model import Scene, SceneGroup
from embedded.world.phrasings import HELD_OUT, TRAIN_PHRASINGS, description, phrase_modification
from embedded.world.scene import sample_base
from embedded.world.vocabulary import DATASETS, EDIT_KINDS


def literal(template: str) -> re.Pattern[str]:
    """A pattern of the template, its slots open."""
    return re.compile(".+".join(re.escape(part) for part in re.split(r"\{\w+\}", template)) + r"\.?", re.I)


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_enough_phrasings(kind: str) -> None:
    assert len(TRAIN_PHRASINGS[kind]) >= 8 and len(HELD_OUT[kind]) >= 2
    assert len({*TRAIN_PHRASINGS[kind], *HELD_OUT[kind]}) == len(TRAIN_PHRASINGS[kind]) + len(HELD_OUT[kind])


@pytest.mark.parametrize("kind", EDIT_KINDS)
def test_texts_state_the_new_value_and_have_no_open_slots(kind: str) -> None:
    rng = np.random.default_rng(1)
    for k in range(300):
        base = sample_base(rng, DATASETS[k % 3])
        change = random_change(rng, base, kind)
        if change is None:
            continue
        text = phrase_modification(rng, base, change, "test").lower()
        assert "{" not in text and "none" not in text.split() and "  " not in text
        if change.relation is not None:
            assert str(change.predicate) in text or str(change.predicate).split()[0] in text
            continue
        group = change.new or change.old
        assert group is not None and group.name.split()[0][:3] in text
        if kind in ("add", "move"):
            assert f"the {group.position}" in text
        if kind in ("add", "recolour") and group.colour:
            assert group.colour in text
        if kind in ("add", "resize") and group.size:
            assert group.size in text


def test_held_out_phrasings_come_in_test_alone() -> None:
    rng = np.random.default_rng(2)
    held = {kind: [literal(one) for one in HELD_OUT[kind]] for kind in EDIT_KINDS}
    shown = dict.fromkeys(EDIT_KINDS, False)
    for k in range(1400):
        kind = EDIT_KINDS[k % 7]
        base = sample_base(rng, DATASETS[k % 3])
        change = random_change(rng, base, kind)
        if change is None:
            continue
        for split in ("train", "val"):
            text = phrase_modification(rng, base, change, split)
            assert not any(pattern.fullmatch(text) for pattern in held[kind]), text
        text = phrase_modification(rng, base, change, "test")
        shown[kind] |= any(pattern.fullmatch(text) for pattern in held[kind])
    assert all(shown.values())


def test_a_description_fits_one_group_only() -> None:
    rng = np.random.default_rng(3)
    rivals_seen = 0
    for k in range(800):
        base = sample_base(rng, DATASETS[k % 3])
        for group in base.groups:
            said = description(rng, base, group, without="colour")
            fitting = [g for g in base.groups if g.name == group.name and _fits(g, group, said)]
            assert fitting == [group]
            rivals_seen += sum(g.name == group.name for g in base.groups) > 1
    assert rivals_seen > 100


def _fits(one: SceneGroup, described: SceneGroup, said: frozenset[str]) -> bool:
    return all(getattr(one, field) == getattr(described, field) for field in said)


def test_groups_in_relations_are_known_by_name() -> None:
    rng = np.random.default_rng(4)
    for k in range(600):
        base = sample_base(rng, DATASETS[k % 3])
        change = random_change(rng, base)
        scene: Scene = base if change is None else change.apply(base)
        names = [group.name for group in scene.groups]
        assert all(names.count(scene.group(uid).name) == 1 for uid in scene.related())
