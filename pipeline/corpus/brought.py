"""Queries that a person brings in `triplets.json`."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.progress import Progress
from pipeline.base.schemas import SPLITS
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.json_rows import read_rows
from pipeline.corpus.plain_edits import EditReader
from pipeline.corpus.queries import Gallery, named_images, query_row
from pipeline.corpus.tables import Rejects
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects

QUERIES_FILE = "triplets.json"


@dataclass(frozen=True)
class Known:
    """The images that queries may name: the attributes of the same name of `Gallery`."""

    splits: Mapping[str, str]
    id_of: Callable[[str], str]
    rejected: Mapping[str, str]
    graphless: Mapping[str, str]


def votes(file: Path, id_of: Callable[[str], str]) -> dict[str, Counter[str]]:
    """In how many queries of each split an image stands, by its id."""
    found: dict[str, Counter[str]] = {}
    for _, value in read_rows(file):
        try:
            query = Record.checked(value)
            split = query.choice("split", SPLITS)
            for image_id in named_images(query, id_of):
                found.setdefault(image_id, Counter())[split] += 1
        except Rejected:
            continue  # it is reported when the row itself is read
    return found


def query_rows(
    file: Path, graphs: pa.Table, known: Known, rejects: Rejects, counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    """The sound rows of the file, in the shape of QUERIES; counts `answers_removed`."""
    index = {image_id: row for row, image_id in enumerate(graphs["image_id"].to_pylist())}

    @lru_cache(maxsize=4096)
    def graph_of(image_id: str) -> GroupGraph:
        return group_objects(graph_from_row(graphs.slice(index[image_id], 1).to_pylist()[0]))

    names = {
        name
        for chunk in graphs["objects"].chunks
        for name in chunk.flatten().field("name").unique().to_pylist()
    }
    gallery = Gallery(
        known.splits, known.id_of, known.rejected, known.graphless, graph_of, EditReader(sorted(names))
    )
    taken: set[str] = set()
    for row, value in Progress(read_rows(file), title=file.name, unit="row", leave=False):
        rejects.seen["queries"] += 1
        try:
            query, removed = query_row(Record.checked(value), gallery, taken)
        except Rejected as error:
            query_id = value.get("pair_id") if isinstance(value, dict) else None
            rejects.add("queries", file, row, query_id, error)
        else:
            taken.add(query["query_id"])
            counts["answers_removed"] += removed
            yield query
