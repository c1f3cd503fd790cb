"""The queries that the report shows: chosen without looking at results, with pictures."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.base.errors import UserError, reading
from pipeline.base.files import sha256_file
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
    return [query for dataset, ids in chosen.items() for query in _shown(paths, dataset, ids, methods)]


def _choose(paths: Paths, datasets: Sequence[str], count: int, method: str) -> dict[str, list[str]]:
    """Query ids by dataset: datasets take turns, and so do their kinds, in the order of the ids' hashes.

    No result has an influence: `method` only tells which rankings name each query once.
    """
    in_turn = []
    for dataset in datasets:
        rankings = pl.DataFrame(read_table(paths.rankings(dataset), RANKINGS, ["query_id", "kind", "method"]))
        queries = rankings.filter(method=method).sort(pl.col("query_id").map_elements(_hash, pl.Binary))
        queries = queries.sort(pl.int_range(pl.len()).over("kind"), "kind").with_row_index("turn")
        in_turn.append(queries.select("turn", "query_id", dataset=pl.lit(dataset)))
    chosen = pl.concat(in_turn).sort("turn", maintain_order=True).head(count)
    return {dataset: chosen.filter(dataset=dataset)["query_id"].to_list() for dataset in datasets}


def _hash(query_id: str) -> bytes:
    return hashlib.sha256(query_id.encode()).digest()


def _shown(paths: Paths, dataset: str, ids: list[str], methods: Sequence[str]) -> list[ShownQuery]:
    queries = _rows(paths.queries(dataset), QUERIES, ids, "query_id")
    captions = _rows(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, ids, "query_id")
    references = [row["reference_id"] for row in queries.values()]
    interpretations = _rows(paths.interpretations(dataset), INTERPRETATIONS, references, "image_id")
    ranked = _rows(paths.rankings(dataset), RANKINGS, ids, "query_id", "method")
    images = read_table(paths.images(dataset), IMAGES, ["image_id", "path", "sha256"]).to_pylist()
    files = {row["image_id"]: (paths.root / row["path"], row["sha256"]) for row in images}

    def picture(image_id: str, right: bool = False) -> Picture:
        return Picture(image_id, _thumbnail(*files[image_id]), right)

    shown = []
    unknown = (set(ids) - queries.keys()) | (
        {image for row in ranked.values() for image in row["top"][:TOP]} - files.keys()
    )
    if unknown:
        reason = "the rankings name queries or images that the corpus does not have"
        remedy = f"Run `dvc repro evaluate@{dataset}`"
        raise UserError(reason, remedy, file=paths.rankings(dataset), value=min(unknown))
    for query_id in sorted(ids, key=lambda query_id: (queries[query_id]["kind"], query_id)):
        query, caption = queries[query_id], captions.get(query_id, {})
        right = set(query["target_ids"])
        results = [
            Result(method, row["rank"], [picture(image, image in right) for image in row["top"][:TOP]])
            for method in methods
            if (row := ranked.get((query_id, method)))
        ]
        shown.append(
            ShownQuery(
                dataset=dataset,
                query_id=query_id,
                kind=query["kind"],
                modification=query["modification"],
                interpretation=_text(interpretations.get(query["reference_id"], {})),
                pseudo_caption=_text(caption),
                missed=caption.get("missed") or [],
                invented=caption.get("invented") or [],
                reference=picture(query["reference_id"]),
                target=picture(query["target_id"], True),
                answers=len(right),
                results=results,
            )
        )
    return shown


def _text(row: dict[str, Any]) -> str:
    if not row:
        return "(not in the table)"
    return row["text"] if row["text"] is not None else f"({row['status']}: {row['error']})"


def _rows(path: Path, schema: pa.Schema, ids: list[str], *key: str) -> dict[Any, dict[str, Any]]:
    """The rows of some ids, which are the first column of the key, by key."""
    table = pl.DataFrame(read_table(path, schema)).filter(pl.col(key[0]).is_in(ids))
    return table.rows_by_key(key, named=True, unique=True)


@cache
def _thumbnail(path: Path, sha256: str) -> str:
    remedy = "Restore it, or run `dvc repro`"
    with reading(path, remedy, "an image of the corpus can no longer be read"):
        if sha256_file(path) != sha256:
            raise UserError("an image has changed since the corpus stage saw it", remedy, file=path)
        return thumbnail_uri(path, THUMBNAIL)
