"""One row of `triplets.json` as a row of the query table."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from pipeline.base.schemas import SPLITS
from pipeline.corpus import checks
from pipeline.corpus.checks import Rejected
from pipeline.corpus.plain_edits import EditReader
from pipeline.graph.edits import apply_edits, edit_to_row, edits_from_row
from pipeline.graph.scene_graph import GroupGraph

KINDS = ("add", "remove", "recolour", "resize", "move", "count", "relation", "free")
_EDIT_TEXTS = ("quantity", "name", "position", "subject", "predicate", "object")


@dataclass(frozen=True)
class Gallery:
    """What a query may name.

    `splits` holds the split of every usable image; `rejected` why an image was set aside; `graphless` why an
    image has no usable graph; `graph_of` gives the graph of an image that has one. `reader` reads edits from
    plain texts where the file has none.
    """

    splits: Mapping[str, str]
    rejected: Mapping[str, str]
    graphless: Mapping[str, str]
    graph_of: Callable[[str], GroupGraph]
    reader: EditReader


def named_images(row: Mapping[str, Any]) -> list[str]:
    """Ids of the images that a row names: reference, target, further right answers.

    Raises:
        Rejected: a field is missing, or is no id.
    """
    further = checks.sequence(row, "targets", "targets", optional=True)
    return [
        checks.identifier(row.get("reference"), "reference"),
        checks.identifier(row.get("target"), "target"),
        *(checks.identifier(value, f"targets[{i}]") for i, value in enumerate(further)),
    ]


def query_row(row: Mapping[str, Any], gallery: Gallery, taken: Set[str]) -> tuple[dict[str, Any], int]:
    """Check a query and bring it into the table's shape.

    A further right answer whose image was rejected leaves the list, since the gallery no longer holds it; one
    that never existed, and a reference or target that is gone, reject the query.

    Args:
        taken: query ids that earlier rows have.

    Returns:
        The row, and how many further right answers left the list.

    Raises:
        Rejected: anything in the row cannot be used.
    """
    query_id = checks.identifier(row.get("pair_id"), "pair_id")
    if query_id in taken:
        raise Rejected("the pair id stands twice", "Give each query its own id", "pair_id", query_id)
    split = checks.split(row.get("split"), "split", SPLITS)
    modification = checks.text(row.get("modification"), "modification", checks.MODIFICATION_LENGTH)
    reference, target, *further = named_images(row)
    _usable(reference, "reference", gallery)
    _usable(target, "target", gallery)
    if reference == target:
        raise Rejected("reference and target are one image", "Name another target", "target", target)
    answers = {target}
    removed = 0
    for i, image_id in enumerate(further):
        if image_id == reference:
            raise Rejected(
                "the reference is among its own right answers", "Remove it", f"targets[{i}]", image_id
            )
        if image_id in gallery.rejected:
            removed += 1
            continue
        _usable(image_id, f"targets[{i}]", gallery)
        answers.add(image_id)
    for image_id in (reference, *sorted(answers)):
        if gallery.splits[image_id] != split:
            raise Rejected(
                f"image '{image_id}' belongs to split '{gallery.splits[image_id]}', the query to '{split}'",
                "Let no image stand in two splits",
                "split",
                split,
            )
    if reference in gallery.graphless:
        raise Rejected(gallery.graphless[reference], "Mend or add the graph", "reference", reference)
    kind = row.get("kind", "free")
    if kind not in KINDS:
        raise Rejected("the kind is unknown", f"Use one of {', '.join(KINDS)}", "kind", kind)
    family = row.get("family")
    return {
        "query_id": query_id,
        "split": split,
        "reference_id": reference,
        "target_id": target,
        "target_ids": sorted(answers),
        "modification": modification,
        "kind": kind,
        "family": None if family is None else checks.identifier(family, "family"),
        "edits": _edits(row, gallery.graph_of(reference), modification, gallery.reader),
    }, removed


def _usable(image_id: str, field: str, gallery: Gallery) -> None:
    if image_id in gallery.rejected:
        reason = f"its image was rejected: {gallery.rejected[image_id]}"
        raise Rejected(reason, "Mend the image, or remove the query", field, image_id)
    if image_id not in gallery.splits:
        raise Rejected("there is no such image", "Correct the id, or add the image", field, image_id)


def _edits(
    row: Mapping[str, Any], graph: GroupGraph, modification: str, reader: EditReader
) -> list[dict[str, Any]] | None:
    """The edits that the row states, or that its text plainly says; None where neither does."""
    if row.get("edits") is None:
        read = reader.read(modification, graph)
        return None if read is None else [edit_to_row(edit) for edit in read]
    edits = []
    for i, value in enumerate(checks.sequence(row, "edits", "edits")):
        field = f"edits[{i}]"
        entry = checks.mapping(value, field)
        for key, allowed in (("op", ("add", "remove")), ("kind", ("object", "relation"))):
            if entry.get(key) not in allowed:
                raise Rejected(
                    "the value is unknown",
                    f"Use one of {', '.join(allowed)}",
                    f"{field}.{key}",
                    entry.get(key),
                )
        edit: dict[str, Any] = {"op": entry["op"], "kind": entry["kind"], "attributes": None}
        for key in _EDIT_TEXTS:
            stated = entry.get(key)
            known = stated is not None and stated != ""
            edit[key] = checks.text(stated, f"{field}.{key}", checks.NAME_LENGTH) if known else None
        needed = ("name",) if entry["kind"] == "object" else ("subject", "predicate", "object")
        for key in needed:
            checks.text(edit[key], f"{field}.{key}", checks.NAME_LENGTH)
        if entry["kind"] == "object":
            edit["quantity"] = edit["quantity"] or ""
            edit["attributes"] = [
                checks.text(attribute, f"{field}.attributes[{j}]", checks.NAME_LENGTH)
                for j, attribute in enumerate(
                    checks.sequence(entry, "attributes", f"{field}.attributes", optional=True)
                )
            ]
        edits.append(edit)
    try:
        apply_edits(graph, edits_from_row(edits) or ())
    except ValueError as error:
        raise Rejected(
            f"the edits do not fit the reference's graph: {error}", "Correct edits or graph", "edits"
        ) from None
    return edits
