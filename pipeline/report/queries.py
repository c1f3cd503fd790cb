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
from pipeline.base.expected import Expected
from pipeline.base.files import sha256_file
from pipeline.base.images import thumbnail_uri
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS
from pipeline.base.tables import read_table
from pipeline.report.tables import rankings

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
    expected: Expected, datasets: Sequence[str], count: int, methods: Sequence[str]
) -> list[ShownQuery]:
    """`count` test queries, spread evenly over datasets and kinds, with what some methods answer.

    Raises:
        UserError: a table or an image is missing, or they do not belong together.
    """
    chosen = _choose(expected, datasets, count, methods[0])
    return [query for dataset, ids in chosen.items() for query in _shown(expected, dataset, ids, methods)]


def _choose(expected: Expected, datasets: Sequence[str], count: int, method: str) -> dict[str, list[str]]:
    """Query ids by dataset: datasets take turns, and so do their kinds, in the order of the ids' hashes.

    No result has an influence: `method` only tells which rankings name each query once.
    """
    in_turn = []
    for dataset in datasets:
        ranked = pl.DataFrame(rankings(expected, dataset, ["query_id", "kind", "method"]))
        queries = ranked.filter(method=method).sort(pl.col("query_id").map_elements(_hash, pl.Binary))
        queries = queries.sort(pl.int_range(pl.len()).over("kind"), "kind").with_row_index("turn")
        in_turn.append(queries.select("turn", "query_id", dataset=pl.lit(dataset)))
    chosen = pl.concat(in_turn).sort("turn", maintain_order=True).head(count)
    return {dataset: chosen.filter(dataset=dataset)["query_id"].to_list() for dataset in datasets}


def _hash(query_id: str) -> bytes:
    return hashlib.sha256(query_id.encode()).digest()


def _shown(expected: Expected, dataset: str, ids: list[str], methods: Sequence[str]) -> list[ShownQuery]:
    paths = expected.paths
    queries = read_table(paths.pairs(dataset), PAIRS, expect=expected.pairs(dataset))
    queries = _rows(queries, ids, "query_id")
    captions = read_table(
        paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, expect=expected.pseudo_captions(dataset)
    )
    captions = _rows(captions, ids, "query_id")
    references = [row["reference_id"] for row in queries.values()]
    described = read_table(
        paths.interpretations(dataset), INTERPRETATIONS, expect=expected.interpretations(dataset)
    )
    interpretations = _rows(described, references, "image_id")
    ranked = _rows(rankings(expected, dataset), ids, "query_id", "method")
    columns = ["image_id", "path", "sha256"]
    images = read_table(paths.images(dataset), IMAGES, columns, expected.corpus(dataset)).to_pydict()
    files = dict(zip(images["image_id"], zip(images["path"], images["sha256"], strict=True), strict=True))

    def picture(image_id: str, right: bool = False) -> Picture:
        path, sha256 = files[image_id]
        return Picture(image_id, _thumbnail(paths.root / path, sha256), right)

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


def _rows(table: pa.Table, ids: list[str], *key: str) -> dict[Any, dict[str, Any]]:
    """The rows of some ids, which are the first column of the key, by key."""
    return pl.DataFrame(table).filter(pl.col(key[0]).is_in(ids)).rows_by_key(key, named=True, unique=True)


@cache
def _thumbnail(path: Path, sha256: str) -> str:
    remedy = "Restore it, or run `dvc repro`"
    with reading(path, remedy, "an image of the corpus can no longer be read"):
        found = sha256_file(path)
        if found == sha256:
            return thumbnail_uri(path, THUMBNAIL)
    reason = f"an image of the corpus has changed: its sha256 is {found}, the corpus says {sha256}"
    raise UserError(reason, remedy, file=path)
