"""Graphs with more than a caption can state: the most salient groups stay, the others are counted.

The most salient groups are those that a modification names, then those with a relation, then those whose
boxes cover most of the image; on a tie, the earlier group. Of too many relations those stay that a
modification removes, then the first one of every subject, then the second one of every subject, and so on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pipeline.graph.edits import Edit
from pipeline.graph.scene_graph import (
    Group,
    GroupGraph,
    SceneGraph,
    count_of,
    group_objects,
    nodes_by_group,
    phrase,
)

Relation = tuple[int, str, int]


class Limits(NamedTuple):
    """The most groups and relations of a graph in a prompt."""

    groups: int
    relations: int

    @staticmethod
    def half_of(graph: GroupGraph) -> "Limits":
        """Limits that leave half of a graph."""
        return Limits(max(1, len(graph.groups) // 2), len(graph.relations) // 2)


def summarised(
    graph: SceneGraph, most_groups: int, most_relations: int, edits: Sequence[Edit] | None = None
) -> tuple[GroupGraph, bool]:
    """The groups of a graph and their relations, within two limits, and whether the graph has more.

    In a graph with more than `most_groups` groups, the most salient ones fill half of that limit, in the
    graph's order and with the relations between them. The other half are the other groups by name: each name
    once with its number of objects, nothing else, the most numerous names first. Names beyond that are left
    out. Then at most `most_relations` relations stay, in the graph's order.

    Args:
        edits: of a query. What they name stays, so that the edits still fit, even if that alone is more than
            a limit.
    """
    whole = group_objects(graph)
    grouped = whole if len(whole.groups) <= most_groups else _fewer_groups(graph, whole, most_groups, edits)
    if len(grouped.relations) > most_relations:
        grouped = replace(grouped, relations=_fewer_relations(grouped, most_relations, edits or ()))
    return grouped, grouped is not whole


def _fewer_groups(
    graph: SceneGraph, grouped: GroupGraph, most: int, edits: Sequence[Edit] | None
) -> GroupGraph:
    area = [
        sum((node.bbox[2] * node.bbox[3] for node in nodes if node.bbox is not None), 0.0)
        for _, nodes in nodes_by_group(graph)
    ]
    related = {index for subject, _, object_ in grouped.relations for index in (subject, object_)}
    named = [_is_named(group, edits or ()) for group in grouped.groups]
    ranked = sorted(range(len(area)), key=lambda i: (not named[i], i not in related, -area[i], i))
    salient = sorted(ranked[: max(most // 2, sum(named))])
    renumbered = {old: new for new, old in enumerate(salient)}
    rest = _counted([group for index, group in enumerate(grouped.groups) if index not in renumbered])
    groups = [grouped.groups[index] for index in salient] + rest[: max(0, most - len(salient))]
    relations = tuple(
        (renumbered[s], predicate, renumbered[o])
        for s, predicate, o in grouped.relations
        if s in renumbered and o in renumbered
    )
    return GroupGraph(grouped.scene, tuple(groups), relations)


def _fewer_relations(graph: GroupGraph, most: int, edits: Sequence[Edit]) -> tuple[Relation, ...]:
    removed = [edit for edit in edits if edit.kind == "relation" and edit.op == "remove"]
    order: list[tuple[bool, int, int]] = []
    earlier: Counter[int] = Counter()  # relations by their subject
    for index, relation in enumerate(graph.relations):
        named = any(_is_relation(relation, graph, edit) for edit in removed)
        order.append((not named, earlier[relation[0]], index))
        earlier[relation[0]] += not named
    order.sort()
    kept = order[: max(most, sum(not other for other, _, _ in order))]
    return tuple(graph.relations[index] for index in sorted(index for _, _, index in kept))


def _is_relation(relation: Relation, graph: GroupGraph, edit: Edit) -> bool:
    subject, predicate, object_ = relation
    ends = ((graph.groups[subject], edit.subject), (graph.groups[object_], edit.object))
    return predicate == edit.predicate and all(name in (end.name, phrase(end)) for end, name in ends)


def _is_named(group: Group, edits: Sequence[Edit]) -> bool:
    return any(
        group == edit.group or {edit.subject, edit.object} & {group.name, phrase(group)} for edit in edits
    )


def _counted(groups: Sequence[Group]) -> list[Group]:
    """One group for each name; a vague quantity makes the sum vague, no quantity counts as one object."""
    counts: Counter[str] = Counter()
    for group in groups:
        number = count_of(group.quantity)
        counts[group.name] += 1 if number is None else number
    vague = {group.name for group in groups if group.quantity and count_of(group.quantity) is None}
    order = sorted(counts, key=lambda name: (name not in vague, -counts[name], name))
    return [Group("many" if name in vague else str(counts[name]), name) for name in order]
