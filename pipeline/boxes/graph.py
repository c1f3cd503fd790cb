"""The labelled boxes of an image to a row of the scene graph table, by all the rules of this room."""

import reprlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from PIL import Image

from pipeline.boxes.box import Box
from pipeline.boxes.colours import colour_word
from pipeline.boxes.frame import within_frame
from pipeline.boxes.geometry import area, bounds
from pipeline.boxes.names import NO_OBJECTS, singular
from pipeline.boxes.orientation import orientation_word
from pipeline.boxes.places import Kind, Thing, kinds_of
from pipeline.boxes.relations import partner, relations
from pipeline.boxes.sizes import is_cut, median_sizes, size_word
from pipeline.graph.scene_graph import POSITIONS, position_of, quantity_of

_ORDER = {cell: number for number, cell in enumerate(chain(*POSITIONS))}

__all__ = ["GraphMaker", "median_sizes"]


class GraphMaker:
    """Makes scene graphs of a dataset's boxes.

    Args:
        sizes: the usual share of the image for each class, from `median_sizes`.
        colours: whether to name the colours of objects; then `make` needs the image.

    Attributes:
        counts: how many boxes were `boxes_clipped` to their image, and how many `boxes_left_out`, since
            hardly a part is in it, a corner is no number of pixels, or the class names no object.
        first: the first case of each: the image, the class and the corners.
    """

    def __init__(self, sizes: Mapping[str, float], colours: bool = False) -> None:
        self._sizes, self._colours = sizes, colours
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def make(
        self,
        image_id: str,
        boxes: Iterable[Box],
        width: int,
        height: int,
        scene: str | None = None,
        image: Image.Image | None = None,
    ) -> dict[str, Any]:
        """A row of SCENE_GRAPHS. The order of `boxes` does not matter.

        Objects are numbered from 0, by class, then by their places from the top left to the bottom right,
        then from top to bottom. An object that is said without a place has no box.

        Args:
            width: of the image, in pixels, as `height`.
            image: as a person sees it, in any mode that Pillow turns into RGB.

        Raises:
            ValueError: colours are asked for and the image is missing, or of another size.
        """
        if self._colours and (image is None or image.size != (width, height)):
            raise ValueError("the colours of objects need the image that their boxes are of")
        rgb = image.convert("RGB") if image is not None and self._colours else None
        found = (self._thing(image_id, box, width, height, rgb) for box in boxes)
        things = sorted(
            (thing for thing in found if thing is not None),
            key=lambda t: (t.name, _ORDER[t.cell], t.bbox[1], t.bbox[0], t.bbox, t.looks),
        )
        classes: dict[str, list[Thing]] = {}
        for number, thing in enumerate(things):
            thing.number = number
            classes.setdefault(thing.name, []).append(thing)
        kinds = [kind for members in classes.values() for kind in kinds_of(members)]
        objects = [entry for kind in kinds for entry in _objects(kind)]
        return {
            "image_id": image_id,
            "width": width,
            "height": height,
            "scene": scene,
            "objects": sorted(objects, key=lambda entry: entry["object_id"]),
            "relationships": [
                {"subject_id": thing.number, "predicate": predicate, "object_id": other.number}
                for subject, predicate, object_ in relations(kinds)
                for thing in kinds[subject].things
                for other in [partner(thing, kinds[object_].things)]
            ],
        }

    def _count(self, kind: str, image_id: str, box: Box) -> None:
        self.counts[kind] += 1
        if kind not in self.first:
            self.first[kind] = f"{image_id}, {box.name} with the corners {reprlib.repr(box.outline)}"

    def _thing(
        self, image_id: str, box: Box, width: int, height: int, image: Image.Image | None
    ) -> Thing | None:
        name = singular(box.name)
        outline = within_frame(box, width, height) if name and name not in NO_OBJECTS else None
        if outline is None:
            self._count("boxes_left_out", image_id, box)
            return None
        if outline is not box.outline:
            self._count("boxes_clipped", image_id, box)
        bbox = bounds(outline)
        looks: list[str | None] = []
        if name in self._sizes and not is_cut(box.bounds, width, height):
            looks.append(size_word(name, area(outline) / (width * height), self._sizes))
        looks.append(orientation_word(box))
        looks += [attribute for attribute in box.attributes if quantity_of(attribute) is None]
        if image is not None:
            looks.append(colour_word(image, outline))
        words = tuple(dict.fromkeys(look for look in looks if look))
        return Thing(name, bbox, position_of(bbox, width, height), words)


def _objects(kind: Kind) -> Iterable[dict[str, Any]]:
    """The objects of a group as entries of the row."""
    attributes = list(filter(None, (kind.quantity, *kind.looks)))
    for thing in kind.things:
        x, y, w, h = thing.bbox
        yield {
            "object_id": thing.number,
            "name": thing.name,
            "attributes": attributes,
            "bbox": None if kind.cell is None else {"x": x, "y": y, "w": w, "h": h},
        }
