"""The seven kinds of changes of a scene, and the facts that each removes and adds."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from embedded.world.layout import capacity, pair_fits
from embedded.world.model import Relation, Scene, SceneGroup
from embedded.world.scene import sample_base
from embedded.world.vocabulary import COLOURS, DATASET_OBJECTS, EDIT_KINDS, OBJECTS, PREDICATES, SIZES
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
        """The scene after the change, at the same place; all other groups stay as they are."""
        if self.relation is not None and self.predicate is not None:
            changed = replace(self.relation, predicate=self.predicate)
            return replace(
                scene,
                groups=tuple(
                    replace(g, lean=self.predicate) if g.uid == changed.anchor else g for g in scene.groups
                ),
                relations=(*(r for r in scene.relations if r != self.relation), changed),
            )
        groups = list(scene.groups)
        relations = scene.relations
        if self.old is None:
            groups += [self.new] if self.new else []
        else:
            at = groups.index(self.old)
            groups[at : at + 1] = [self.new] if self.new else []
            if self.new is None:
                gone = self.old.uid
                relations = tuple(r for r in relations if gone not in (r.satellite, r.anchor))
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
        edits = []
        if self.old is not None:
            edits.append(Edit("remove", "object", as_group(self.old)))
        if self.new is not None:
            edits.append(Edit("add", "object", as_group(self.new)))
        return tuple(edits)


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


def _variants(scene: Scene, kind: str, group: SceneGroup, **values: object) -> Change | None:
    new = replace(group, **values)  # type: ignore[arg-type]
    return Change(kind, old=group, new=new) if new != group and fits(scene, new) else None


def _recolour(scene: Scene) -> dict[int, list[Change]]:
    return {
        group.uid: [Change("recolour", group, replace(group, colour=c)) for c in COLOURS if c != group.colour]
        for group in scene.groups
        if OBJECTS[group.name].colourable and group.colour is not None
    }


def _resize(scene: Scene) -> dict[int, list[Change]]:
    return {
        group.uid: [c for size in SIZES if (c := _variants(scene, "resize", group, size=size))]
        for group in scene.groups
        if group.size is not None
    }


def _count(scene: Scene) -> dict[int, list[Change]]:
    anchors = {relation.anchor for relation in scene.relations}
    return {
        group.uid: [c for n in range(1, 6) if (c := _variants(scene, "count", group, count=n))]
        for group in scene.groups
        if group.uid not in anchors and group.lean is None
    }


def _move(scene: Scene) -> dict[int, list[Change]]:
    related = scene.related()
    return {
        group.uid: [Change("move", group, replace(group, position=p)) for p in scene.free_positions()]
        for group in scene.groups
        if group.uid not in related and group.lean is None
    }


def _remove(scene: Scene) -> dict[int, list[Change]]:
    """Groups that stand alone, and a satellite where another relation stays."""
    kept = {relation.anchor for relation in scene.relations}
    if len(scene.relations) < 2:
        kept |= scene.related()
    return {group.uid: [Change("remove", old=group)] for group in scene.groups if group.uid not in kept}


def _relation(scene: Scene) -> dict[int, list[Change]]:
    return {
        relation.satellite: [
            Change("relation", relation=relation, predicate=p) for p in PREDICATES if p != relation.predicate
        ]
        for relation in scene.relations
    }


CHANGES: dict[str, Callable[[Scene], dict[int, list[Change]]]] = {
    "recolour": _recolour,
    "resize": _resize,
    "count": _count,
    "move": _move,
    "remove": _remove,
    "relation": _relation,
}


def sample_addition(rng: np.random.Generator, scene: Scene) -> Change | None:
    """A new group in a free cell; its name is none that a relation names."""
    from embedded.world.scene import sample_attributes, sample_count

    positions = scene.free_positions()
    related = {scene.group(uid).name for uid in scene.related()}
    names = [name for name in DATASET_OBJECTS[scene.dataset] if name not in related]
    if not positions or not names or len(scene.groups) >= MOST_GROUPS:
        return None
    name = names[int(rng.integers(len(names)))]
    size, colour = sample_attributes(rng, name)
    group = SceneGroup(
        uid=max(group.uid for group in scene.groups) + 1,
        name=name,
        size=size,
        colour=colour,
        count=sample_count(rng, name, size),
        position=positions[int(rng.integers(len(positions)))],
    )
    return Change("add", new=group)


def possible_changes(scene: Scene, kind: str) -> dict[int, list[Change]]:
    """All changes of a kind other than `add`, by the uid of the group changed (of the satellite)."""
    return {uid: changes for uid, changes in CHANGES[kind](scene).items() if changes}


def random_change(rng: np.random.Generator, scene: Scene, kind: str | None = None) -> Change | None:
    """One random change, of a random kind unless one is given; None where the scene allows none."""
    kind = kind or EDIT_KINDS[int(rng.integers(len(EDIT_KINDS)))]
    if kind == "add":
        return sample_addition(rng, scene)
    changes = list(possible_changes(scene, kind).values())
    if not changes:
        return None
    of_group = changes[int(rng.integers(len(changes)))]
    return of_group[int(rng.integers(len(of_group)))]


def sample_scene(rng: np.random.Generator, dataset: str) -> Scene:
    """A random scene of the dataset: a base, or one edit of a base, half of the time each."""
    base = sample_base(rng, dataset)
    if rng.random() < 0.5:
        return base
    change = random_change(rng, base)
    return base if change is None else change.apply(base)
