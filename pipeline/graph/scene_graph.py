"""Scene graphs: from objects in Visual Genome's shape to groups of like objects.

A graph lists single objects, but people and captions speak of groups ("three red cars at the left").
A group holds the objects that share name, attributes and position; its fields are the facts of a caption.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NUMBER_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip
VAGUE_QUANTITIES = ("some", "many", "several", "few", "a few", "numerous")
MOST_DIGITS = 9  # of a quantity; a longer number says nothing that a text could state
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
    """Objects that are alike. `quantity` is a number in digits, a vague word, or "" if none is given."""

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
    nodes = []
    for entry in row["objects"]:
        box = entry.get("bbox")
        bbox = None if box is None else (box["x"], box["y"], box["w"], box["h"])
        nodes.append(Node(entry["object_id"], entry["name"], tuple(entry["attributes"] or ()), bbox))
    relationships = tuple((r["subject_id"], r["predicate"], r["object_id"]) for r in row["relationships"])
    return SceneGraph(row["width"], row["height"], row["scene"], tuple(nodes), relationships)


def position_of(bbox: Sequence[float], width: int, height: int) -> str:
    """The cell of a 3 x 3 grid that holds the centre of `bbox` (x, y, w, h)."""
    column = min(2, max(0, int(3 * (bbox[0] + bbox[2] / 2) / width)))
    row = min(2, max(0, int(3 * (bbox[1] + bbox[3] / 2) / height)))
    return POSITIONS[row][column]


def group_objects(graph: SceneGraph) -> GroupGraph:
    """Put objects of the same name, attributes and position into one group, in order of first appearance.

    An attribute that says how many ("two", "many") becomes the quantity. Otherwise the quantity is the
    number of objects, but a single object without a box has none: such graphs name kinds, not instances.
    """
    grouped = nodes_by_group(graph)
    index = {node.object_id: i for i, (_, nodes) in enumerate(grouped) for node in nodes}
    relations = dict.fromkeys((index[s], predicate, index[o]) for s, predicate, o in graph.relationships)
    return GroupGraph(graph.scene, tuple(group for group, _ in grouped), tuple(relations))


def nodes_by_group(graph: SceneGraph) -> list[tuple[Group, list[Node]]]:
    """The groups of `group_objects`, each with its nodes."""
    members: dict[tuple[str, str, tuple[str, ...], str | None], list[Node]] = {}
    for node in graph.nodes:
        stated, attributes = split_quantity(node.attributes)
        position = None if node.bbox is None else position_of(node.bbox, graph.width, graph.height)
        members.setdefault((stated, node.name, attributes, position), []).append(node)
    grouped = []
    for (stated, name, attributes, position), nodes in members.items():
        counted = str(len(nodes)) if len(nodes) > 1 or nodes[0].bbox is not None else ""
        grouped.append((Group(stated or counted, name, attributes, position), nodes))
    return grouped


def split_quantity(attributes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The quantity that the first such attribute states, "" if none does, and the other attributes."""
    quantity, rest = "", []
    for attribute in attributes:
        stated = quantity_of(attribute)
        if stated and not quantity:
            quantity = stated
        else:
            rest.append(attribute)
    return quantity, tuple(rest)


def quantity_of(text: str) -> str | None:
    """How many a word says, as a group's quantity: "two", "2" and "\u2461" are "2"; None for others.

    Digits of every script count, and single characters that stand for a whole number, such as circled ones.
    """
    if text in VAGUE_QUANTITIES:
        return text
    if text in NUMBER_WORDS:
        return str(NUMBER_WORDS[text])
    if text.isdecimal():
        return str(int(text)) if len(text) <= MOST_DIGITS else None
    if len(text) == 1 and unicodedata.category(text).startswith("N"):
        value = unicodedata.numeric(text, 0.5)
        return str(int(value)) if value.is_integer() else None
    return None


def count_of(quantity: str) -> int | None:
    """The number that a group's quantity is; None for a vague one, and for none."""
    plain = quantity.isascii() and quantity.isdecimal() and len(quantity) <= MOST_DIGITS
    return int(quantity) if plain else None


def phrase(group: Group) -> str:
    """Attributes and name: "small red car"."""
    return " ".join((*group.attributes, group.name))


def mention(graph: GroupGraph, index: int) -> str:
    """A group as relations name it: its name, with its attributes if another group has the same name."""
    group = graph.groups[index]
    unique = sum(other.name == group.name for other in graph.groups) == 1
    return group.name if unique else phrase(group)
