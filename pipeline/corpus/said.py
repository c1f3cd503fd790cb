"""What annotations say of the images of a dataset, kept in Arrow's memory: few of them are Python objects."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from pipeline.boxes.box import Box
from pipeline.corpus.annotations import Annotations
from pipeline.corpus.tables import gather

_NUMBERS = pa.list_(pa.float64())
_BOX = pa.struct(
    [
        ("name", pa.string()),
        ("outline", _NUMBERS),
        ("oriented", pa.bool_()),
        ("attributes", pa.list_(pa.string())),
    ]
)
_TEXTS = ("image_id", "split", "place", "scene")
_SAID = pa.schema(
    [*((name, pa.string()) for name in _TEXTS), ("boxes", pa.list_(_BOX)), ("extras", pa.string())]
)


class Said:
    """Annotations by the id of their image."""

    def __init__(self, annotations: Iterable[Annotations]) -> None:
        self._table = gather(map(_row, annotations), _SAID).combine_chunks()
        self._rows = {image_id: row for row, image_id in enumerate(self._table["image_id"].to_pylist())}

        self._last = Annotations("")

    def of(self, image_id: str) -> Annotations:
        """What is said of an image; all is None if nothing is."""
        if self._last.image_id != image_id:  # the tiles of one image come after each other
            self._last = self._read(image_id)
        return self._last

    def _read(self, image_id: str) -> Annotations:
        row = self._rows.get(image_id)
        if row is None:
            return Annotations(image_id)
        values = {name: self._table[name][row].as_py() for name in _SAID.names}
        boxes = values["boxes"]
        return Annotations(
            image_id,
            None if boxes is None else [_box(box) for box in boxes],
            values["split"],
            values["place"],
            values["scene"],
            json.loads(values["extras"]),
        )


def _row(said: Annotations) -> dict[str, Any]:
    boxes = None
    if said.boxes is not None:
        boxes = [
            {
                "name": box.name,
                "outline": [number for corner in box.outline for number in corner],
                "oriented": box.oriented,
                "attributes": list(box.attributes),
            }
            for box in said.boxes
        ]
    row = {name: getattr(said, name) for name in _TEXTS}
    return {**row, "boxes": boxes, "extras": json.dumps(said.extras, default=str)}


def _box(row: dict[str, Any]) -> Box:
    numbers = row["outline"]
    outline = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Box(row["name"], outline, row["oriented"], tuple(row["attributes"]))
