"""One row of `scene_graphs.json`, in Visual Genome's shape, as a row of the scene graph table."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.corpus import checks
from pipeline.corpus.checks import BBOX_TOLERANCE, Field, Record, Rejected, as_whole
from pipeline.corpus.tables import Notes


def graph_row(
    row: Mapping[str, Any], image_id: str, width: int, height: int, notes: Notes | None = None
) -> dict[str, Any]:
    """Check a graph and bring it into the table's shape. A graph may be empty: `objects` is [] then.

    An object has `object_id`, `name` (or Visual Genome's `names`, of which the first counts), and optionally
    `attributes` and a box: `bbox` as {x, y, w, h} or [x, y, w, h], or x, y, w and h in the object itself. A
    box is clipped to the image. A box without area, an attribute or a relationship that cannot be used is
    left out.

    Args:
        width: of the image, in pixels, as `height`; a size that the row states must agree.
        notes: counts what is clipped and left out.

    Raises:
        Rejected: anything else in the graph cannot be used.
    """
    graph = Record(row)
    notes = Notes() if notes is None else notes
    for key, size in (("width", width), ("height", height)):
        if graph.get(key) not in (None, size):
            raise Rejected(
                f"the graph's {key} is not the image's, {size} pixels",
                "Scale the boxes to the image, upright as its EXIF data say, and correct the size",
                key,
                graph.get(key),
            )
    objects: dict[int, dict[str, Any]] = {}
    merged: dict[object, set[int]] = {}  # the objects into which an id was merged
    for entry in graph.records("objects"):
        node = _object(entry, width, height, notes)
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
        others = entry.get("merged_object_ids")
        for other in others if isinstance(others, list) else []:
            if isinstance(other, int | float):
                merged.setdefault(as_whole(other), set()).add(object_id)
    id_of = {other: into.pop() for other, into in merged.items() if len(into) == 1} | {i: i for i in objects}
    relationships = []
    for value, field in graph.entries("relationships", optional=True):
        try:
            relationships.append(_relationship(Record.checked(value, field), objects, id_of, notes))
        except Rejected as error:
            notes.count("relationships_left_out", first=error)
    return {
        "image_id": image_id,
        "width": width,
        "height": height,
        "scene": None if graph.optional("scene") is None else graph.text("scene", checks.SCENE_LENGTH),
        "objects": list(objects.values()),
        "relationships": relationships,
    }


def _object(entry: Record, width: int, height: int, notes: Notes) -> dict[str, Any]:
    name, names = entry.get("name"), entry.get("names")
    if name is None and isinstance(names, list) and names:
        name = names[0]
    box = entry.get("bbox")
    if box in ([], {}):
        box = None
    if box is None and all(key in entry.values for key in "xywh"):
        box = {key: entry.get(key) for key in "xywh"}
    attributes = []
    for value, field in entry.entries("attributes", optional=True):
        try:
            if value is None or checks.is_nan(value):
                raise Rejected("the attribute is null", "Remove it", field)
            attributes.append(checks.name(value, field))
        except Rejected as error:
            notes.count("attributes_left_out", first=error)
    return {
        "bbox": None if box is None else _box(box, entry.field("bbox"), width, height, notes),
        "object_id": entry.whole_number("object_id"),
        "name": checks.name(name, entry.field("name")),
        "attributes": attributes,
    }


def _box(value: object, field: Field, width: int, height: int, notes: Notes) -> dict[str, float] | None:
    """A box within the image; None, and counted, if nothing of it is left there."""
    box = checks.bbox(value, field)
    if box is None:
        return None
    x, y, w, h = box
    reason, over_the_edge = None, False
    if not all(map(math.isfinite, box)):
        reason = "the box is not finite"
    elif w <= 0 or h <= 0:
        reason = "the box has no area"
    elif min(x, y) < -BBOX_TOLERANCE or x + w > width + BBOX_TOLERANCE or y + h > height + BBOX_TOLERANCE:
        over_the_edge = True
        right, bottom = min(x + w, float(width)), min(y + h, float(height))
        x, y = max(x, 0.0), max(y, 0.0)
        w, h = right - x, bottom - y
        if w <= 0 or h <= 0:
            reason = f"the box lies outside the image, which is {width} x {height} pixels"
    if reason is not None:
        notes.count("boxes_left_out", first=Rejected(reason, "Correct the box", field, value))
        return None
    if over_the_edge:
        reason = f"the box reaches over the edge of the image, which is {width} x {height} pixels"
        notes.count("boxes_clipped", first=Rejected(reason, "Correct the box", field, value))
    return {"x": x, "y": y, "w": w, "h": h}


def _relationship(
    entry: Record, objects: Mapping[int, Any], id_of: Mapping[object, int], notes: Notes
) -> dict[str, Any]:
    ends = {}
    for key in ("subject_id", "object_id"):
        end = entry.whole_number(key)
        if end not in id_of:
            raise Rejected(
                "the relationship names an object that the graph does not hold",
                "Correct the id, or remove the relationship",
                entry.field(key),
                end,
            )
        ends[key] = id_of[end]
    row = {**ends, "predicate": entry.name("predicate")}
    resolved = sum(entry.whole_number(key) not in objects for key in ends)
    if resolved and ends["subject_id"] == ends["object_id"]:
        raise Rejected("both ends were merged into one object", "Remove the relationship", entry.path)
    notes.count("merged_ids_resolved", resolved)
    return row
