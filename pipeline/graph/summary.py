"""Graphs with more groups than a caption can state: the most salient groups stay, the others are counted.

The most salient groups are those that a modification names, then those with a relation, then those whose
boxes cover most of the image; on a tie, the earlier group.
"""

from collections import Counter
from collections.abc import Sequence

from pipeline.graph.edits import Edit
from pipeline.graph.scene_graph import Group, GroupGraph, SceneGraph, group_objects, nodes_by_group, phrase


def summarised(
    graph: SceneGraph, most_groups: int, edits: Sequence[Edit] | None = None
) -> tuple[GroupGraph, bool]:
    """The groups of a graph, at most `most_groups` of them, and whether the graph has more.

    The most salient groups fill half of the limit, in the graph's order and with the relations between them.
    The other half are the other groups by name: each name once with its number of objects, nothing else, the
    most numerous names first. Names beyond that are left out.

    Args:
        edits: of a query. Groups that they name stay, so that the edits still fit, even if these alone are
            more than `most_groups`.
    """
    grouped = group_objects(graph)
    if len(grouped.groups) <= most_groups:
        return grouped, False
    area = [
        sum((node.bbox[2] * node.bbox[3] for node in nodes if node.bbox is not None), 0.0)
        for _, nodes in nodes_by_group(graph)
    ]
    related = {index for subject, _, object_ in grouped.relations for index in (subject, object_)}
    named = [_is_named(group, edits or ()) for group in grouped.groups]
    ranked = sorted(range(len(area)), key=lambda i: (not named[i], i not in related, -area[i], i))
    salient = sorted(ranked[: max(most_groups // 2, sum(named))])
    renumbered = {old: new for new, old in enumerate(salient)}
    rest = _counted([group for index, group in enumerate(grouped.groups) if index not in renumbered])
    groups = [grouped.groups[index] for index in salient] + rest[: max(0, most_groups - len(salient))]
    relations = tuple(
        (renumbered[s], predicate, renumbered[o])
        for s, predicate, o in grouped.relations
        if s in renumbered and o in renumbered
    )
    return GroupGraph(grouped.scene, tuple(groups), relations), True


def _is_named(group: Group, edits: Sequence[Edit]) -> bool:
    return any(
        group == edit.group or {edit.subject, edit.object} & {group.name, phrase(group)} for edit in edits
    )


def _counted(groups: Sequence[Group]) -> list[Group]:
    """One group for each name; a vague quantity makes the sum vague, no quantity counts as one object."""
    counts: Counter[str] = Counter()
    for group in groups:
        counts[group.name] += int(group.quantity) if group.quantity.isdigit() else 1
    vague = {group.name for group in groups if group.quantity and not group.quantity.isdigit()}
    order = sorted(counts, key=lambda name: (name not in vague, -counts[name], name))
    return [Group("many" if name in vague else str(counts[name]), name) for name in order]
