"""The kinds of annotations that a dataset's folder can hold. A new kind gets a file and a line here."""

from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.corpus import coco, dota, geojson, images_alone, voc, yolo
from pipeline.corpus.annotations import Kind, Reader
from pipeline.corpus.image_files import is_image
from pipeline.corpus.layout import in_order, visible_files

ANNOTATED: dict[str, Kind] = {kind.KIND.name: kind.KIND for kind in (coco, voc, dota, yolo, geojson)}
KINDS: dict[str, Kind] = {**ANNOTATED, images_alone.KIND.name: images_alone.KIND}
READERS: dict[Kind, Reader] = {kind: kind.read for kind in KINDS.values()}


def kind_of(folder: Path) -> Kind | None:
    """The kind of a folder's annotations; None if it holds neither annotations nor images.

    Raises:
        UserError: the folder holds annotations of two kinds, or cannot be read.
    """
    images, others = False, []
    for name in visible_files(folder):
        if is_image(name):
            images = True
        else:
            others.append(name)
    others = in_order(others)  # images may be many more, and their order says nothing here
    found = {name: files for name, kind in ANNOTATED.items() if (files := kind.find(folder, others))}
    if len(found) > 1:
        shown = " and ".join(
            f"{name} ({files[0]}{f' and {len(files) - 1} more' if len(files) > 1 else ''})"
            for name, files in found.items()
        )
        remedy = "Keep one of them, and put the others elsewhere"
        raise UserError(f"the folder holds annotations of two kinds: {shown}", remedy, file=folder)
    if found:
        return KINDS[next(iter(found))]
    return images_alone.KIND if images else None
