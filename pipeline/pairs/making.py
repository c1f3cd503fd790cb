"""The queries of a dataset that brings none: from its tables of images and scene graphs to chosen pairs."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.progress import Progress
from pipeline.base.schemas import IMAGES, SCENE_GRAPHS, SPLITS
from pipeline.base.tables import READ_ROWS, read_batches, read_table
from pipeline.faithfulness.vocabulary import Vocabulary, vocabulary_of
from pipeline.graph.edits import apply_edits
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects
from pipeline.graph.summary import summarised
from pipeline.graph.table import GraphTable
from pipeline.pairs.choosing import Choice, Chosen, Image, choose
from pipeline.pairs.difference import edits_of
from pipeline.pairs.index import GraphIndex

_PLACES = ["family", "place", "scene_id"]


@dataclass
class Made:
    """What was made for a dataset, before any query is worded.

    Attributes:
        graphs: of the references of the queries, by image id.
        figures: for `metrics/pairs.json`.
    """

    queries: list[Chosen]
    graphs: dict[str, GroupGraph]
    vocabulary: Vocabulary
    figures: dict[str, Any]


def make(expected: Expected, dataset: str, brought: Mapping[str, int]) -> Made:
    """Find and choose the queries of a dataset.

    Args:
        brought: how many queries it brings, by split.

    Raises:
        UserError: no image has a graph with an object, or a split has images but neither brought nor made
            queries.
    """
    params, paths = expected.params, expected.paths
    made_from = expected.corpus(dataset)
    table = read_table(paths.images(dataset), IMAGES, ["split", *_PLACES], made_from)
    within, count = _within(params.pairs.within, table), table.num_rows
    of_split = Counter(table["split"].to_pylist())
    del table
    index, images = GraphIndex(params.seed, params.pairs.max_facts), []
    for row, graph in _with_graph(expected, dataset):
        scope = _scope(within, row)
        if graph.groups and scope is not None:
            index.add(scope, graph)
            family = row["family"] or row["scene_id"] or row["place"]
            images.append(Image(row["image_id"], sys.intern(row["split"]), family and sys.intern(family)))
    if not images:
        reason = f"no image of {dataset} has a scene graph, so no query can be made"
        remedy = (
            "These images can be indexed and searched with `lempo index`. Queries need graphs or boxes: add "
            "some, or bring queries in triplets.json"
        )
        raise UserError(reason, remedy, file=paths.scene_graphs(dataset))
    limits = params.pairs.per_image, params.pairs.most
    choice = choose(index, images, params.seed, *limits)
    graphs = _references(expected, dataset, choice)
    _check_splits(of_split, choice.queries, brought, dataset, within)
    vocabulary = vocabulary_of(entry.graph for entry in index.entries)
    figures = _figures(choice) | {"within": within, "images_without_graph": count - len(images)}
    return Made(choice.queries, graphs, vocabulary, figures)


def _with_graph(expected: Expected, dataset: str) -> Iterator[tuple[dict[str, Any], GroupGraph]]:
    """The rows of the images that have a graph, with these; both tables are in the order of the ids."""
    paths, made_from = expected.paths, expected.corpus(dataset)
    columns = ["image_id", "split", *_PLACES]
    images = (
        row
        for batch in read_batches(paths.images(dataset), IMAGES, columns, made_from)
        for row in batch.to_pylist()
    )
    image = next(images, None)
    for batch in read_batches(paths.scene_graphs(dataset), SCENE_GRAPHS, expect=made_from):
        for row in batch.to_pylist():
            while image is not None and image["image_id"] < row["image_id"]:
                image = next(images, None)
            if image is not None and image["image_id"] == row["image_id"]:
                yield image, group_objects(graph_from_row(row))


def _within(asked: str, images: pa.Table) -> str:
    """Where reference and target come from."""
    if asked != "auto":
        return asked
    if _stated(images["scene_id"]) or _stated(images["family"]):
        return "scene"
    return "place" if _stated(images["place"]) else "dataset"


def _stated(texts: pa.ChunkedArray) -> bool:
    """Whether one of them is neither null nor empty."""
    return bool(pc.any(pc.greater(pc.binary_length(texts), 0)).as_py())


def _scope(within: str, row: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The images that may be paired with this one; None if nothing says which."""
    if within == "dataset":
        return (row["split"],)
    where = (row["scene_id"] or row["family"]) if within == "scene" else row["place"]
    return None if where is None else (row["split"], where)


def _references(expected: Expected, dataset: str, choice: Choice) -> dict[str, GroupGraph]:
    """The graphs of the references.

    A query is left out if its edits do not fit its reference's graph as later prompts summarise it.
    """
    table = GraphTable(expected.paths.scene_graphs(dataset))
    limits = expected.params.llm.max_groups, expected.params.llm.max_relations
    graphs: dict[str, GroupGraph] = {}
    kept = []
    for block in _blocks(choice.queries):
        found = table.of([query.reference.image_id for query in block])
        for query in block:
            whole = found[query.reference.image_id]
            edits = edits_of(query.changes)
            try:
                apply_edits(summarised(whole, *limits, edits)[0], edits)
            except ValueError:
                choice.too_large += 1
                continue
            graphs[query.reference.image_id] = group_objects(whole)
            kept.append(query)
    choice.queries[:] = kept
    return graphs


def _blocks(queries: Sequence[Chosen]) -> Iterator[Sequence[Chosen]]:
    starts = range(0, len(queries), READ_ROWS)
    for start in Progress(starts, title="pairs: edits", unit="block", leave=False):
        yield queries[start : start + READ_ROWS]


def _check_splits(
    images: Mapping[str, int],
    queries: Sequence[Chosen],
    brought: Mapping[str, int],
    dataset: str,
    within: str,
) -> None:
    made = Counter(query.reference.split for query in queries)
    for split in SPLITS:
        if images[split] and not made[split] and not brought.get(split):
            reason = (
                f"no two of the {images[split]} images of split {split} of {dataset} have graphs that differ "
                f"by few facts, in one {within}"
            )
            remedy = (
                "Raise pairs.max_facts, set pairs.within to dataset, add images to this split, or bring "
                "queries; images alone can be searched with `lempo index`"
            )
            raise UserError(reason, remedy, file="params.yaml", field="pairs")


def _figures(choice: Choice) -> dict[str, Any]:
    count = len(choice.queries)
    right = sum(len(query.right) for query in choice.queries)
    hard = sum(query.hard for query in choice.queries)
    return {
        "pairs_found": choice.found,
        "pairs_too_common": choice.too_common,
        "pairs_too_large": choice.too_large,
        "right_answers_per_query": right / count if count else None,
        "hard_negatives_per_query": hard / count if count else None,
    }
