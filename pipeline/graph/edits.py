"""Edits of scene graphs: the facts that a modification removes and adds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.graph.scene_graph import Group, GroupGraph, phrase, quantity_of


@dataclass(frozen=True)
class Edit:
    """One fact removed or added: a group (`kind` object) or a relation between two named groups."""

    op: str
    kind: str
    group: Group | None = None
    subject: str | None = None
    predicate: str | None = None
    object: str | None = None


def edits_from_row(rows: Sequence[Mapping[str, Any]] | None) -> tuple[Edit, ...] | None:
    """The `edits` column of a query row; None if the table has none."""
    return None if rows is None else tuple(map(_edit_from_row, rows))


def _edit_from_row(row: Mapping[str, Any]) -> Edit:
    group = None
    if row["kind"] == "object":
        quantity = row["quantity"] or ""
        group = Group(
            quantity_of(quantity) or quantity, row["name"], tuple(row["attributes"] or ()), row["position"]
        )
    return Edit(row["op"], row["kind"], group, row["subject"], row["predicate"], row["object"])


def edit_to_row(edit: Edit) -> dict[str, Any]:
    """An edit as a row of the `edits` column."""
    group = edit.group
    return {
        "op": edit.op,
        "kind": edit.kind,
        "quantity": group.quantity if group else None,
        "name": group.name if group else None,
        "attributes": list(group.attributes) if group else None,
        "position": group.position if group else None,
        "subject": edit.subject,
        "predicate": edit.predicate,
        "object": edit.object,
    }


def apply_edits(graph: GroupGraph, edits: Sequence[Edit]) -> GroupGraph:
    """The graph that a pseudo caption must describe.

    Removing a group and adding one of the same name changes that group: it keeps its index and its relations.
    A group that is only removed takes its relations with it.

    Raises:
        ValueError: an edit removes what the graph does not hold, or relates a group it does not hold.
    """
    groups: list[Group | None] = list(graph.groups)
    relations = list(graph.relations)
    added = [edit.group for edit in edits if edit.kind == "object" and edit.op == "add" and edit.group]
    for edit in edits:
        if edit.kind != "object" or edit.op != "remove" or edit.group is None:
            continue
        if edit.group not in groups:
            raise ValueError(f"no such group to remove: {edit.group}")
        index = groups.index(edit.group)
        successor = next((group for group in added if group.name == edit.group.name), None)
        groups[index] = successor
        if successor is None:
            relations = [(s, predicate, o) for s, predicate, o in relations if index not in (s, o)]
        else:
            added.remove(successor)
    groups.extend(added)
    for edit in edits:
        if edit.kind != "relation":
            continue
        relation = (_index_of(groups, edit.subject), edit.predicate or "", _index_of(groups, edit.object))
        if edit.op == "add":
            relations.append(relation)
        elif relation in relations:
            relations.remove(relation)
        else:
            raise ValueError(f"no such relation to remove: {relation}")
    remaining = [index for index, group in enumerate(groups) if group is not None]
    renumbered = {old: new for new, old in enumerate(remaining)}
    return replace(
        graph,
        groups=tuple(group for group in groups if group is not None),
        relations=tuple((renumbered[s], predicate, renumbered[o]) for s, predicate, o in relations),
    )


def _index_of(groups: Sequence[Group | None], name: str | None) -> int:
    for index, group in enumerate(groups):
        if group is not None and name in (group.name, phrase(group)):
            return index
    raise ValueError(f"no such group to relate: {name}")
