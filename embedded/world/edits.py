"""The seven kinds of changes of a scene, and the facts that each removes and adds."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from embedded.world.draws import choose
from embedded.world.layout import capacity, pair_fits
from embedded.world.model import Relation, Scene, SceneGroup
from embedded.world.scene import sample_attributes, sample_base, sample_count
from embedded.world.vocabulary import COLOURS, DATASET_OBJECTS, EDIT_KINDS, MAX_COUNT, PREDICATES, SIZES
from pipeline.graph.edits import Edit
from pipeline.graph.scene_graph import Group

MOST_GROUPS = 7


@dataclass(frozen=True)
class Change:
    """One change: a group `old` becomes `new` (either may be None), or a relation gets `predicate`."""

    kind: str
    old: SceneGroup | None = None
    new: SceneGroup | None = None
    relation: Relation | None = None
    predicate: str | None = None

    def apply(self, scene: Scene) -> Scene:
        """The scene after the change, at the same site; all other groups stay as they are."""
        if self.relation is not None and self.predicate is not None:
            changed = replace(self.relation, predicate=self.predicate)
            return replace(
                scene,
                groups=tuple(
                    replace(g, lean=self.predicate) if g.uid == changed.anchor else g for g in scene.groups
                ),
                relations=(*(r for r in scene.relations if r != self.relation), changed),
            )
        groups, relations = list(scene.groups), scene.relations
        index = len(groups) if self.old is None else groups.index(self.old)
        groups[index : index + 1] = [self.new] if self.new else []
        if self.old is not None and self.new is None:
            removed = self.old.uid
            relations = tuple(r for r in relations if removed not in (r.satellite, r.anchor))
        return replace(scene, groups=tuple(groups), relations=relations)

    def edits(self, scene: Scene) -> tuple[Edit, ...]:
        """The facts removed from and added to the scene's graph."""
        if self.relation is not None:
            subject = scene.group(self.relation.satellite).name
            anchor = scene.group(self.relation.anchor).name
            return (
                Edit("remove", "relation", None, subject, self.relation.predicate, anchor),
                Edit("add", "relation", None, subject, self.predicate, anchor),
            )
        ends = (("remove", self.old), ("add", self.new))
        return tuple(Edit(op, "object", as_group(group)) for op, group in ends if group is not None)


def as_group(group: SceneGroup) -> Group:
    """The group as the grouped scene graph has it."""
    return Group(str(group.count), group.name, group.attributes, group.position)


def fits(scene: Scene, group: SceneGroup) -> bool:
    """Whether the group, in its new form, still fits in its cell, beside its satellite or anchor if any."""
    if capacity(group.name, group.size) < group.count:
        return False
    for relation in scene.relations:
        if group.uid == relation.satellite:
            anchor = scene.group(relation.anchor)
            return pair_fits(anchor.name, anchor.size, group.name, group.size, group.count)
        if group.uid == relation.anchor:
            other = scene.group(relation.satellite)
            return pair_fits(group.name, group.size, other.name, other.size, other.count)
    return True


def possible_changes(scene: Scene, kind: str) -> dict[int, list[Change]]:
    """All changes of a kind other than `add`, by the uid of the group changed (of the satellite)."""
    if kind == "relation":
        return {
            relation.satellite: [
                Change(kind, relation=relation, predicate=p) for p in PREDICATES if p != relation.predicate
            ]
            for relation in scene.relations
        }
    by_group = {group.uid: _changes_of(scene, group, kind) for group in scene.groups}
    return {uid: changes for uid, changes in by_group.items() if changes}


def _changes_of(scene: Scene, group: SceneGroup, kind: str) -> list[Change]:
    if kind == "remove":  # what stands alone, and a satellite where another relation stays
        anchors = {relation.anchor for relation in scene.relations}
        needed = anchors if len(scene.relations) > 1 else scene.related()
        return [] if group.uid in needed else [Change(kind, old=group)]
    is_anchor = group.lean is not None
    values: dict[str, tuple[str, Iterable[object]]] = {
        "recolour": ("colour", COLOURS if group.colour else ()),
        "resize": ("size", SIZES if group.size else ()),
        "count": ("count", () if is_anchor else range(1, MAX_COUNT + 1)),
        "move": ("position", () if is_anchor or group.uid in scene.related() else scene.free_positions()),
    }
    field, options = values[kind]
    variants = [replace(group, **{field: value}) for value in options]  # type: ignore[arg-type]
    return [Change(kind, group, new) for new in variants if new != group and fits(scene, new)]


def sample_addition(rng: np.random.Generator, scene: Scene) -> Change | None:
    """A new group in a free cell; its name is none that a relation names."""
    positions = scene.free_positions()
    related = {scene.group(uid).name for uid in scene.related()}
    names = [name for name in DATASET_OBJECTS[scene.dataset] if name not in related]
    if not positions or not names or len(scene.groups) >= MOST_GROUPS:
        return None
    name = choose(rng, names)
    size, colour = sample_attributes(rng, name)
    group = SceneGroup(
        uid=max(group.uid for group in scene.groups) + 1,
        name=name,
        size=size,
        colour=colour,
        count=sample_count(rng, name, size),
        position=choose(rng, positions),
    )
    return Change("add", new=group)


def random_change(rng: np.random.Generator, scene: Scene, kind: str | None = None) -> Change | None:
    """One random change, of a random kind unless one is given; None where the scene allows none."""
    kind = kind or choose(rng, EDIT_KINDS)
    if kind == "add":
        return sample_addition(rng, scene)
    by_group = possible_changes(scene, kind)
    return choose(rng, choose(rng, list(by_group.values()))) if by_group else None


def sample_scene(rng: np.random.Generator, dataset: str) -> Scene:
    """A random scene of the dataset: a base, or one edit of a base, half of the time each."""
    base = sample_base(rng, dataset)
    if rng.random() < 0.5:
        return base
    change = random_change(rng, base)
    return base if change is None else change.apply(base)
