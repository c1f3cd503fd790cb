"""One row of `scene_graphs.json`, in Visual Genome's shape, as a row of the scene graph table."""

from collections.abc import Mapping
from typing import Any

from pipeline.corpus import checks
from pipeline.corpus.checks import Record, Rejected


def graph_row(row: Mapping[str, Any], image_id: str, width: int, height: int) -> dict[str, Any]:
    """Check a graph and bring it into the table's shape. A graph may be empty: `objects` is [] then.

    An object has `object_id`, `name` (or Visual Genome's `names`, of which the first counts), and optionally
    `attributes` and a box: `bbox` as {x, y, w, h} or [x, y, w, h], or x, y, w and h in the object itself.

    Args:
        width: of the image, in pixels, as `height`; a size that the row states must agree.

    Raises:
        Rejected: anything in the graph cannot be used.
    """
    graph = Record(row)
    for key, size in (("width", width), ("height", height)):
        if graph.get(key) not in (None, size):
            raise Rejected(
                f"the graph's {key} is not the image's, {size} pixels",
                "Scale the boxes to the image and correct the size",
                key,
                graph.get(key),
            )
    objects: dict[int, dict[str, Any]] = {}
    for entry in graph.records("objects"):
        node = _object(entry, width, height)
        object_id = node["object_id"]
        if object_id in objects:
            first = list(objects).index(object_id)
            raise Rejected(
                f"the object id stands twice, in objects[{first}] too",
                "Give each object of a graph its own id",
                entry.field("object_id"),
                object_id,
            )
        objects[object_id] = node
    return {
        "image_id": image_id,
        "width": width,
        "height": height,
        "scene": None if graph.get("scene") is None else graph.text("scene", checks.SCENE_LENGTH),
        "objects": list(objects.values()),
        "relationships": [
            {
                "subject_id": _end(entry, "subject_id", objects),
                "object_id": _end(entry, "object_id", objects),
                "predicate": entry.text("predicate", checks.NAME_LENGTH),
            }
            for entry in graph.records("relationships", optional=True)
        ],
    }


def _object(entry: Record, width: int, height: int) -> dict[str, Any]:
    name, names = entry.get("name"), entry.get("names")
    if name is None and isinstance(names, list) and names:
        name = names[0]
    box = entry.get("bbox")
    if box is None and all(key in entry.values for key in "xywh"):
        box = {key: entry.get(key) for key in "xywh"}
    return {
        "bbox": None if box is None else checks.bbox(box, entry.field("bbox"), width, height),
        "object_id": entry.whole_number("object_id"),
        "name": checks.text(name, entry.field("name"), checks.NAME_LENGTH),
        "attributes": entry.names("attributes"),
    }


def _end(relationship: Record, key: str, objects: Mapping[int, Any]) -> int:
    object_id = relationship.whole_number(key)
    if object_id not in objects:
        raise Rejected(
            "the relationship names an object that the graph does not hold",
            "Correct the id, or remove the relationship",
            relationship.field(key),
            object_id,
        )
    return object_id
