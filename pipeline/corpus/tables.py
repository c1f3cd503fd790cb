"""What a corpus reader returns: tables, and every row that was rejected."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.base.errors import Problem
from pipeline.base.schemas import BROUGHT_CAPTIONS
from pipeline.corpus.checks import Rejected, printable

_BLOCK = 8192


def gather(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as an Arrow table, block by block: few of them are Python objects at a time."""
    rows = iter(rows)
    blocks = [schema.empty_table()]
    while block := list(islice(rows, _BLOCK)):
        blocks.append(pa.Table.from_pylist(block, schema=schema))
    return pa.concat_tables(blocks)


@dataclass
class Rejects:
    """Rejected rows in the shape of `rejects.parquet`, without the dataset, and how many rows were seen.

    `seen` counts the rows of each table, rejected ones included.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, table: str, file: object, row: int | None, record_id: object, error: Rejected) -> None:
        self.rows.append(
            {
                "table": table,
                "file": printable(str(file), limit=4096),
                "row": row,
                "record_id": None if record_id is None else printable(record_id),
                "field": error.field,
                "value": error.value,
                "reason": error.reason,
                "remedy": error.remedy,
            }
        )

    def problems(self, table: str) -> list[Problem]:
        """The problems of one table, in the order in which they were found."""
        return [
            Problem(row["reason"], row["remedy"], row["file"], row["row"], row["field"], row["value"])
            for row in self.rows
            if row["table"] == table
        ]


# what was put right, left out or noticed without rejecting a row: the key in the metrics, and its words
NOTES = {
    "hidden_files": "hidden image files passed by",
    "images_turned": "images turned upright by their EXIF orientation",
    "images_rescaled": "images of more than 8 bits a channel rescaled",
    "boxes_clipped": "boxes clipped to the image",
    "boxes_left_out": "boxes left out",
    "annotations_without_image": "annotations of images that are not there or cannot be used",
    "crowds_left_out": "annotations of crowds left out",
    "difficult_boxes": "boxes marked as difficult, which are kept",
    "masks_ignored": "masks (RLE) not read, whose boxes are kept",
    "categories_left_out": "entries of lists of classes left out",
    "features_outside": "features of maps that lie in no image",
    "names_disagree": "annotation files that name another image than the one they are called after",
    "splits_disagree": "images that stand in the lists of two splits; the first holds",
    "extras_left_out": "further values of images left out",
    "attributes_left_out": "attributes left out",
    "relationships_left_out": "relationships left out",
    "merged_ids_resolved": "ids of relationships resolved by merged_object_ids",
    "georeferences_left_out": "places of images on the map not read",
    "tiles_empty": "tiles left out that show a single colour or no data",
    "tiles_cut": "tiles left out whose edge cuts an object",
    "tiles_few_or_many": "tiles left out with fewer or more objects than corpus.tile_objects",
    "objects_cut": "objects that the edge of a tile cuts, in all tiles",
    "shared_places": "places whose images are stated in more than one split",
    "repeated_images": "images that are byte for byte another image of their split",
    "shared_images": "image files that stand in more than one split, byte for byte",
    "near_duplicates_across_splits": "images of val and test that look like images of another split",
}


@dataclass
class Notes:
    """How often each kind of `NOTES` occurred, and the first case of it."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, object] = field(default_factory=dict)

    def count(self, kind: str, times: int = 1, first: object = None) -> None:
        """Count cases of a kind; `first` says what the first one is."""
        self.counts[kind] += times
        if times and first is not None:
            self.first.setdefault(kind, first)

    def add(self, other: "Notes", file: object, row: int) -> None:
        """Add the notes on one row of a file; their first cases are `Rejected`."""
        self.counts.update(other.counts)
        for kind, error in other.first.items():
            if kind not in self.first and isinstance(error, Rejected):
                self.first[kind] = error.problem(file, row)

    def metrics(self) -> dict[str, int]:
        """The count of every kind, also of those that did not occur."""
        return {kind: self.counts[kind] for kind in NOTES}

    def lines(self) -> list[str]:
        """A line for each kind that occurred."""
        return [
            f"{text}: {self.counts[kind]}"
            + (f". The first: {self.first[kind]}" if kind in self.first else "")
            for kind, text in NOTES.items()
            if self.counts[kind]
        ]


@dataclass(frozen=True)
class Corpus:
    """The tables of a dataset, what was rejected, notes on what was not, and further counts.

    `counts` holds `split_assumed` (images whose split nothing states), `answers_removed` (further right
    answers that are no longer in the gallery) and `ignored_files` (files in `images/` that are no images).
    `alike` holds groups of ids of images that look alike; None where pictures were not compared.
    """

    images: pa.Table
    scene_graphs: pa.Table
    queries: pa.Table
    rejects: Rejects
    counts: dict[str, int]
    notes: Notes = field(default_factory=Notes)
    alike: list[list[str]] | None = None
    captions: pa.Table = field(default_factory=BROUGHT_CAPTIONS.empty_table)  # `read_captions` fills it
