"""Graphs with more groups than a caption can say: the most salient stay as they are, the rest is counted.

Which groups stay is decided by the graph alone: first those that a modification names, then those that take
part in a relation, then those whose boxes cover most of the image; the earlier one on a tie.
"""

from collections.abc import Sequence

from pipeline.graph.edits import Edit
from pipeline.graph.scene_graph import Group, GroupGraph, SceneGraph, group_index, group_objects, phrase


def summarised(
    graph: SceneGraph, most_groups: int, edits: Sequence[Edit] | None = None
) -> tuple[GroupGraph, bool]:
    """The groups of a graph, at most `most_groups` of them, and whether that is fewer than it has.

    Half of the places go to the most salient groups, in the graph's order and with the relations between
    them; the other half to the rest, by name: each name once, with the number of all its objects and nothing
    else, the most numerous names first. Names beyond that are left out.

    Args:
        edits: of a query. Groups that they name stay, so that the edits still fit, even if these alone are
            more than `most_groups`.
    """
    grouped = group_objects(graph)
    if len(grouped.groups) <= most_groups:
        return grouped, False
    area = dict.fromkeys(range(len(grouped.groups)), 0.0)
    for node, place in zip(graph.nodes, group_index(graph), strict=True):
        if node.bbox is not None:
            area[place] += node.bbox[2] * node.bbox[3]
    related = {place for subject, _, object_ in grouped.relations for place in (subject, object_)}
    named = [_is_named(group, edits or ()) for group in grouped.groups]
    ranked = sorted(area, key=lambda place: (not named[place], place not in related, -area[place], place))
    kept = sorted(ranked[: max(most_groups // 2, sum(named))])
    new = {place: number for number, place in enumerate(kept)}
    rest = [group for place, group in enumerate(grouped.groups) if place not in new]
    counted = _counted(rest)[: max(0, most_groups - len(kept))]
    return (
        GroupGraph(
            grouped.scene,
            (*(grouped.groups[place] for place in kept), *counted),
            tuple((new[s], said, new[o]) for s, said, o in grouped.relations if s in new and o in new),
        ),
        True,
    )


def _is_named(group: Group, edits: Sequence[Edit]) -> bool:
    return any(
        group == edit.group or {edit.subject, edit.object} & {group.name, phrase(group)} for edit in edits
    )


def _counted(groups: Sequence[Group]) -> list[Group]:
    """One group a name; a vague quantity makes the sum vague, and no quantity counts as one object."""
    counts: dict[str, int] = {}
    vague: set[str] = set()
    for group in groups:
        number = int(group.quantity) if group.quantity.isdigit() else 1
        counts[group.name] = counts.get(group.name, 0) + number
        if group.quantity and not group.quantity.isdigit():
            vague.add(group.name)
    order = sorted(counts, key=lambda name: (name not in vague, -counts[name], name))
    return [Group("many" if name in vague else str(counts[name]), name) for name in order]
