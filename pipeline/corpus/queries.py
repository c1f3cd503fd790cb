"""One row of `triplets.json` as a row of the query table."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from pipeline.base.schemas import SPLITS
from pipeline.corpus import checks
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.plain_edits import EditReader
from pipeline.graph.edits import apply_edits, edit_to_row, edits_from_row
from pipeline.graph.scene_graph import GroupGraph

KINDS = ("add", "remove", "recolour", "resize", "move", "count", "relation", "free")
_EDIT_TEXTS = ("quantity", "name", "position", "subject", "predicate", "object")
_REQUIRED_TEXTS = {"object": ("name",), "relation": ("subject", "predicate", "object")}  # by an edit's kind


@dataclass(frozen=True)
class Gallery:
    """What a query may name.

    `splits` holds the split of every usable image; `id_of` gives the id for an id or a file's name;
    `rejected` says why an image was rejected, `graphless` why an image has no usable graph; `graph_of` gives
    the graph of an image that has one. `reader` reads edits from plain texts where the file has none.
    """

    splits: Mapping[str, str]
    id_of: Callable[[str], str]
    rejected: Mapping[str, str]
    graphless: Mapping[str, str]
    graph_of: Callable[[str], GroupGraph]
    reader: EditReader


def named_images(query: Record, id_of: Callable[[str], str]) -> list[str]:
    """Ids of the images that a query names: reference, target, further right answers.

    Args:
        id_of: gives the id for what a query may write, an id or the name of a file in `images/`.

    Raises:
        Rejected: a field is missing, or is no id.
    """
    further = list(query.entries("targets", optional=True))
    names = [
        query.identifier("reference"),
        query.identifier("target"),
        *(checks.identifier(value, field) for value, field in further),
    ]
    return [id_of(name) for name in names]


def query_row(query: Record, gallery: Gallery, taken: Set[str]) -> tuple[dict[str, Any], int]:
    """Check a query and bring it into the table's shape.

    A further right answer whose image was rejected is removed from the list, since the gallery no longer
    holds it. One that never existed, and a reference or target that was rejected, reject the query.

    Args:
        taken: query ids that earlier rows have.

    Returns:
        The row, and how many further right answers were removed.

    Raises:
        Rejected: anything in the row cannot be used.
    """
    query_id = query.identifier("pair_id")
    if query_id in taken:
        raise Rejected("the pair id stands twice", "Give each query its own id", "pair_id", query_id)
    split = query.choice("split", SPLITS)
    modification = query.text("modification", checks.MODIFICATION_LENGTH)
    reference, target, *further = named_images(query, gallery.id_of)
    _check_image(reference, "reference", gallery)
    _check_image(target, "target", gallery)
    if reference == target:
        raise Rejected("reference and target are one image", "Name another target", "target", target)
    answers = {target}
    for i, image_id in enumerate(further):
        field = f"targets[{i}]"
        if image_id == reference:
            raise Rejected("the reference is among its own right answers", "Remove it", field, image_id)
        if image_id not in gallery.rejected:
            _check_image(image_id, field, gallery)
            answers.add(image_id)
    for image_id in (reference, *sorted(answers)):
        if gallery.splits[image_id] != split:
            raise Rejected(
                f"image '{image_id}' belongs to split '{gallery.splits[image_id]}', the query to '{split}'",
                "Use each image in one split only",
                "split",
                split,
            )
    if reference in gallery.graphless:
        raise Rejected(gallery.graphless[reference], "Correct or add the graph", "reference", reference)
    return {
        "query_id": query_id,
        "split": split,
        "reference_id": reference,
        "target_id": target,
        "target_ids": sorted(answers),
        "modification": modification,
        "kind": "free" if query.optional("kind") is None else query.choice("kind", KINDS),
        "family": None if query.optional("family") is None else query.identifier("family"),
        "edits": _edits(query, gallery.graph_of(reference), modification, gallery.reader),
    }, sum(image_id in gallery.rejected for image_id in further)


def _check_image(image_id: str, field: str, gallery: Gallery) -> None:
    if image_id in gallery.rejected:
        reason = f"its image was rejected: {gallery.rejected[image_id]}"
        raise Rejected(reason, "Correct the image, or remove the query", field, image_id)
    if image_id not in gallery.splits:
        raise Rejected("there is no such image", "Correct the id, or add the image", field, image_id)


def _edits(
    query: Record, graph: GroupGraph, modification: str, reader: EditReader
) -> list[dict[str, Any]] | None:
    """The edits that the row states, or that its text plainly asks for; None where neither is so."""
    if query.get("edits") is None:
        read = reader.read(modification, graph)
        return None if read is None else [edit_to_row(edit) for edit in read]
    edits = [_edit(entry) for entry in query.records("edits")]
    try:
        apply_edits(graph, edits_from_row(edits) or ())
    except ValueError as error:
        reason = f"the edits do not fit the reference's graph: {error}"
        raise Rejected(reason, "Correct the edits or the graph", "edits") from None
    return edits


def _edit(entry: Record) -> dict[str, Any]:
    edit: dict[str, Any] = {
        "op": entry.choice("op", ("add", "remove")),
        "kind": entry.choice("kind", tuple(_REQUIRED_TEXTS)),
        "attributes": None,
    }
    for key in _EDIT_TEXTS:
        absent = entry.get(key) in (None, "") and key not in _REQUIRED_TEXTS[edit["kind"]]
        read = entry.identifier if key == "quantity" else entry.name
        edit[key] = None if absent else read(key)
    if edit["kind"] == "object":
        edit["quantity"] = edit["quantity"] or ""
        edit["attributes"] = entry.names("attributes")
    return edit
