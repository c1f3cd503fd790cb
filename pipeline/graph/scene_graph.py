"""Scene graphs: Visual Genome's shape in, groups of like objects inside, edits applied to groups.

A graph lists objects one by one; people, and captions, speak of groups ("three red cars at the left").
A group is the objects that share name, attributes and place; its fields are the facts that a caption states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
VAGUE_QUANTITIES = ("some", "many", "several", "few", "a few", "numerous")
POSITIONS = (
    ("top left", "top", "top right"),
    ("left", "center", "right"),
    ("bottom left", "bottom", "bottom right"),
)


@dataclass(frozen=True)
class Node:
    """One object. `bbox` is (x, y, w, h) in pixels from the top left."""

    object_id: int
    name: str
    attributes: tuple[str, ...] = ()
    bbox: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class SceneGraph:
    """Objects and `(subject_id, predicate, object_id)` relationships of an image of `width` x `height`."""

    width: int
    height: int
    scene: str | None
    nodes: tuple[Node, ...]
    relationships: tuple[tuple[int, str, int], ...]


@dataclass(frozen=True)
class Group:
    """Like objects. `quantity` is a number in digits, a vague word, or "" where the graph does not say."""

    quantity: str
    name: str
    attributes: tuple[str, ...] = ()
    position: str | None = None


@dataclass(frozen=True)
class GroupGraph:
    """Groups and relations `(subject index, predicate, object index)` into `groups`."""

    scene: str | None
    groups: tuple[Group, ...]
    relations: tuple[tuple[int, str, int], ...]


def graph_from_row(row: Mapping[str, Any]) -> SceneGraph:
    """A row of the scene graph table as a `SceneGraph`."""
    nodes = tuple(
        Node(
            object_id=entry["object_id"],
            name=entry["name"],
            attributes=tuple(entry["attributes"] or ()),
            bbox=None if entry.get("bbox") is None else tuple(entry["bbox"][k] for k in ("x", "y", "w", "h")),  # type: ignore[arg-type]
        )
        for entry in row["objects"]
    )
    relationships = tuple((r["subject_id"], r["predicate"], r["object_id"]) for r in row["relationships"])
    return SceneGraph(row["width"], row["height"], row["scene"], nodes, relationships)


def position_of(bbox: Sequence[float], width: int, height: int) -> str:
    """The cell of a 3 x 3 grid that holds the centre of `bbox` (x, y, w, h)."""
    column = min(2, max(0, int(3 * (bbox[0] + bbox[2] / 2) / width)))
    row = min(2, max(0, int(3 * (bbox[1] + bbox[3] / 2) / height)))
    return POSITIONS[row][column]


def group_objects(graph: SceneGraph) -> GroupGraph:
    """Put objects of one name, attributes and position into one group, in order of first appearance.

    Attributes that say how many ("two", "many") become the quantity. Otherwise the quantity is the number of
    objects, except that a single object without a box has none: such graphs name kinds, not instances.
    """
    members = _members(graph)
    groups: list[Group] = []
    index: dict[int, int] = {}
    for (stated, name, attributes, position), nodes in members.items():
        counted = str(len(nodes)) if len(nodes) > 1 or nodes[0].bbox is not None else ""
        for node in nodes:
            index[node.object_id] = len(groups)
        groups.append(Group(stated or counted, name, attributes, position))
    relations = dict.fromkeys((index[s], predicate, index[o]) for s, predicate, o in graph.relationships)
    return GroupGraph(graph.scene, tuple(groups), tuple(relations))


def group_index(graph: SceneGraph) -> list[int]:
    """For every node, in their order, the index of its group in `group_objects(graph).groups`."""
    index = {node.object_id: place for place, nodes in enumerate(_members(graph).values()) for node in nodes}
    return [index[node.object_id] for node in graph.nodes]


def _members(graph: SceneGraph) -> dict[tuple[str, str, tuple[str, ...], str | None], list[Node]]:
    """Nodes by stated quantity, name, attributes and position."""
    members: dict[tuple[str, str, tuple[str, ...], str | None], list[Node]] = {}
    for node in graph.nodes:
        stated, attributes = _split_quantity(node.attributes)
        position = None if node.bbox is None else position_of(node.bbox, graph.width, graph.height)
        members.setdefault((stated, node.name, attributes, position), []).append(node)
    return members


def _split_quantity(attributes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    quantity, rest = "", []
    for attribute in attributes:
        if not quantity and (
            attribute in NUMBER_WORDS or attribute in VAGUE_QUANTITIES or attribute.isdigit()
        ):
            quantity = str(NUMBER_WORDS.get(attribute, attribute))
        else:
            rest.append(attribute)
    return quantity, tuple(rest)


def phrase(group: Group) -> str:
    """Attributes and name: "small red car"."""
    return " ".join((*group.attributes, group.name))


def serialise(graph: GroupGraph) -> str:
    """A graph as the lines that a prompt holds; every fact once, in the order of the graph.

    Example:
        scene: airport
        objects:
        - 3 car: red, small; at top left
        - 1 hangar: white; at center
        relations:
        - car next to hangar
    """
    lines = [f"scene: {graph.scene}"] if graph.scene else []
    lines.append("objects:")
    for group in graph.groups:
        line = "- " + " ".join(filter(None, (group.quantity, group.name)))
        if group.attributes:
            line += ": " + ", ".join(group.attributes)
        if group.position:
            line += f"; at {group.position}"
        lines.append(line)
    if graph.relations:
        lines.append("relations:")
        names = [group.name for group in graph.groups]
        said = [phrase(g) if names.count(g.name) > 1 else g.name for g in graph.groups]
        lines += [f"- {said[s]} {predicate} {said[o]}" for s, predicate, o in graph.relations]
    return "\n".join(lines)
