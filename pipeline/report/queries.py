"""The queries that the report shows: chosen without looking at results, with pictures."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.base.images import thumbnail_uri
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, RANKINGS
from pipeline.base.tables import read_table

TOP = 5
THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class Picture:
    """A thumbnail. `right` says whether the image answers the query."""

    image_id: str
    uri: str
    right: bool = False


@dataclass(frozen=True)
class Result:
    """What one method answers: the rank of the best right answer and the first images."""

    method: str
    rank: int
    top: list[Picture]


@dataclass(frozen=True)
class ShownQuery:
    """A query with its texts, or why there is none; `missed` and `invented` name wrong facts."""

    dataset: str
    query_id: str
    kind: str
    modification: str
    interpretation: str
    pseudo_caption: str
    missed: list[str]
    invented: list[str]
    reference: Picture
    target: Picture
    answers: int
    results: list[Result]


def shown_queries(
    paths: Paths, datasets: Sequence[str], count: int, methods: Sequence[str]
) -> list[ShownQuery]:
    """`count` test queries, spread evenly over datasets and kinds, with what some methods answer.

    Raises:
        UserError: a table or an image is missing.
    """
    chosen = _choose(paths, datasets, count, methods[0])
    return [query for dataset in datasets for query in _shown(paths, dataset, chosen[dataset], methods)]


def _choose(paths: Paths, datasets: Sequence[str], count: int, method: str) -> dict[str, list[str]]:
    """Query ids by dataset: datasets take turns, and so do their kinds, in the order of the ids' hashes.

    No result has an influence: `method` only tells which rankings name each query once.
    """
    waiting: dict[str, deque[deque[str]]] = {}
    for dataset in datasets:
        table = read_table(paths.rankings(dataset), RANKINGS, ["query_id", "kind", "method"])
        kinds = pl.DataFrame(table).filter(method=method).sort("kind").group_by("kind", maintain_order=True)
        waiting[dataset] = deque(deque(sorted(rows["query_id"], key=_hash)) for _, rows in kinds)
    chosen: dict[str, list[str]] = {dataset: [] for dataset in datasets}
    for dataset in cycle(datasets):
        if not count or not any(waiting.values()):
            break
        if waiting[dataset]:
            kind = waiting[dataset].popleft()
            chosen[dataset].append(kind.popleft())
            count -= 1
            if kind:
                waiting[dataset].append(kind)
    return chosen


def _hash(query_id: str) -> bytes:
    return hashlib.sha256(query_id.encode()).digest()


def _shown(paths: Paths, dataset: str, ids: list[str], methods: Sequence[str]) -> list[ShownQuery]:
    queries = _rows(paths.queries(dataset), QUERIES, "query_id", ids)
    captions = _rows(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, "query_id", ids)
    references = [row["reference_id"] for row in queries.values()]
    interpretations = _rows(paths.interpretations(dataset), INTERPRETATIONS, "image_id", references)
    table = read_table(paths.rankings(dataset), RANKINGS)
    table = table.filter(pc.is_in(table["query_id"], pa.array(ids, pa.string())))
    ranked = {(row["query_id"], row["method"]): row for row in table.to_pylist()}
    images = read_table(paths.images(dataset), IMAGES, ["image_id", "path"])
    files = dict(zip(images["image_id"].to_pylist(), images["path"].to_pylist(), strict=True))

    def picture(image_id: str, right: bool = False) -> Picture:
        return Picture(image_id, _thumbnail(paths.root / files[image_id]), right)

    def results(query_id: str, right: set[str]) -> Iterator[Result]:
        for method in methods:
            if row := ranked.get((query_id, method)):
                top = [picture(image, image in right) for image in row["top"][:TOP]]
                yield Result(method, row["rank"], top)

    shown = []
    for query_id in sorted(ids, key=lambda query_id: (queries[query_id]["kind"], query_id)):
        query, caption = queries[query_id], captions.get(query_id, {})
        right = set(query["target_ids"])
        shown.append(
            ShownQuery(
                dataset=dataset,
                query_id=query_id,
                kind=query["kind"],
                modification=query["modification"],
                interpretation=_text(interpretations.get(query["reference_id"])),
                pseudo_caption=_text(caption),
                missed=caption.get("missed") or [],
                invented=caption.get("invented") or [],
                reference=picture(query["reference_id"]),
                target=picture(query["target_id"], True),
                answers=len(right),
                results=list(results(query_id, right)),
            )
        )
    return shown


def _text(row: dict[str, Any] | None) -> str:
    if not row:
        return "(not in the table)"
    return row["text"] if row["text"] is not None else f"({row['status']}: {row['error']})"


def _rows(path: Path, schema: pa.Schema, key: str, ids: list[str]) -> dict[str, dict[str, Any]]:
    table = read_table(path, schema)
    table = table.filter(pc.is_in(table[key], pa.array(ids, pa.string())))
    return {row[key]: row for row in table.to_pylist()}


@cache
def _thumbnail(path: Path) -> str:
    try:
        return thumbnail_uri(path, THUMBNAIL)
    except (OSError, ValueError) as error:
        raise UserError(
            "an image of the corpus can no longer be read",
            "Restore it, or run `dvc repro`",
            file=path,
            value=error,
        ) from None
