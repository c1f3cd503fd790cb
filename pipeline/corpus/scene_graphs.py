"""One row of `scene_graphs.json`, in Visual Genome's shape, as a row of the scene graph table."""

from collections.abc import Mapping
from typing import Any

from pipeline.corpus import checks
from pipeline.corpus.checks import NAME_LENGTH, Rejected


def graph_row(row: Mapping[str, Any], image_id: str, width: int, height: int) -> dict[str, Any]:
    """Check a graph and bring it into the table's shape. A graph may be empty: `objects` is [] then.

    An object has `object_id`, `name` (or Visual Genome's `names`, of which the first counts), and optionally
    `attributes` and a box: `bbox` as {x, y, w, h} or [x, y, w, h], or x, y, w and h in the object itself.

    Args:
        width: of the image, in pixels; a size that the row states must agree.

    Raises:
        Rejected: anything in the graph cannot be used.
    """
    for key, size in (("width", width), ("height", height)):
        stated = row.get(key)
        if stated is not None and stated != size:
            raise Rejected(
                f"the graph's {key} is not the image's, {size} pixels",
                "Scale the boxes to the image and correct the size",
                key,
                stated,
            )
    entries = checks.sequence(row, "objects", "objects")
    objects = [_object(entry, f"objects[{i}]", width, height) for i, entry in enumerate(entries)]
    place: dict[int, int] = {}
    for i, entry in enumerate(objects):
        first = place.setdefault(entry["object_id"], i)
        if first != i:
            raise Rejected(
                f"the object id stands twice, in objects[{first}] too",
                "Give each object of a graph its own id",
                f"objects[{i}].object_id",
                entry["object_id"],
            )
    scene = row.get("scene")
    return {
        "image_id": image_id,
        "width": width,
        "height": height,
        "scene": None if scene is None else checks.text(scene, "scene", checks.SCENE_LENGTH),
        "objects": objects,
        "relationships": [
            _relationship(entry, f"relationships[{i}]", place)
            for i, entry in enumerate(checks.sequence(row, "relationships", "relationships", optional=True))
        ],
    }


def _object(value: object, field: str, width: int, height: int) -> dict[str, Any]:
    entry = checks.mapping(value, field)
    name = entry.get("name")
    if name is None and isinstance(entry.get("names"), list) and entry["names"]:
        name = entry["names"][0]
    box = entry.get("bbox")
    if box is None and all(key in entry for key in "xywh"):
        box = {key: entry[key] for key in "xywh"}
    if box is not None:
        box = dict(zip("xywh", checks.bbox(box, f"{field}.bbox", width, height), strict=True))
    return {
        "object_id": checks.whole_number(entry.get("object_id"), f"{field}.object_id"),
        "name": checks.text(name, f"{field}.name", NAME_LENGTH),
        "attributes": [
            checks.text(attribute, f"{field}.attributes[{i}]", NAME_LENGTH)
            for i, attribute in enumerate(
                checks.sequence(entry, "attributes", f"{field}.attributes", optional=True)
            )
        ],
        "bbox": box,
    }


def _relationship(value: object, field: str, known: Mapping[int, int]) -> dict[str, Any]:
    entry = checks.mapping(value, field)
    ends = {}
    for key in ("subject_id", "object_id"):
        ends[key] = checks.whole_number(entry.get(key), f"{field}.{key}")
        if ends[key] not in known:
            raise Rejected(
                "the relationship names an object that the graph does not hold",
                "Correct the id, or remove the relationship",
                f"{field}.{key}",
                ends[key],
            )
    return {
        "subject_id": ends["subject_id"],
        "predicate": checks.text(entry.get("predicate"), f"{field}.predicate", NAME_LENGTH),
        "object_id": ends["object_id"],
    }
