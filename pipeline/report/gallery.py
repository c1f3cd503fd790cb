"""The queries of the report's gallery as plain data: texts, scene graphs, ranks and first results."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.provenance import remedy
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, RANKINGS, SCENE_GRAPHS
from pipeline.base.tables import read_some
from pipeline.report.pictures import Wanted
from pipeline.report.recall import rankings, shown_rankings

TOP = 6  # results of a method
_OBJECTS, _RELATIONS = 80, 40  # of a scene graph, at most
_DIGITS = 4  # of shares and of places in an image


@dataclass(frozen=True)
class Gallery:
    """Queries of one dataset, and the pictures that they need.

    Attributes:
        data: JSON values: `name`, `tested`, `images`, `references` and `queries`. Images are named by their
            places in `images`, methods by their places in the list of methods.
        wanted: pictures to be made.
    """

    data: dict[str, Any]
    wanted: list[Wanted]


def gallery(
    expected: Expected,
    dataset: str,
    methods: Sequence[str],
    first: Sequence[str],
    count: int,
    pictures: int,
) -> Gallery:
    """Up to `count` test queries, those first whose best right answer the first method ranks lowest.

    Args:
        methods: all methods of the rankings, in the report's order.
        first: the same, in the order in which pictures are given to their first results.
        pictures: how many images get a picture: references and targets first.

    Raises:
        UserError: a table is missing, or the tables do not belong together.
    """
    ids, tested = _chosen(expected, dataset, first[0], count)
    queries = _queries(expected, dataset, ids)
    answers = _answers(expected, dataset, ids)
    named = {image_id for row in answers.values() for image_id in row["top"]}
    named |= {query[name] for query in queries.values() for name in ("reference_id", "target_id")}
    images = _Images(expected, dataset, named)
    _refuse_unknown(expected, dataset, set(ids) - queries.keys(), images, answers)
    for query in queries.values():
        images.want(query["reference_id"], large=True)
        images.want(query["target_id"])
    for method in first:
        for query_id in ids:
            if (query_id, method) in answers:
                images.want(*answers[query_id, method]["top"])
    images.keep_pictures(pictures)
    captions = _rows(expected, "pseudo_captions", dataset, PSEUDO_CAPTIONS, "query_id", ids)
    references = [query["reference_id"] for query in queries.values()]
    rows = [
        _query(query_id, queries[query_id], captions.get(query_id), answers, methods, images)
        for query_id in ids
    ]
    described = _references(expected, dataset, references, images)
    data = {"name": dataset, "tested": tested, "queries": rows, "references": described}
    return Gallery(data | {"images": images.rows()}, images.wanted())


def _chosen(expected: Expected, dataset: str, by: str, count: int) -> tuple[list[str], int]:
    """Query ids, and how many there are to choose from."""
    table = pl.DataFrame(rankings(expected, dataset, ["query_id", "method", "rank"])).filter(method=by)
    return table.sort(-pl.col("rank"), "query_id").head(count)["query_id"].to_list(), table.height


def _queries(expected: Expected, dataset: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    columns = ["query_id", "reference_id", "target_id", "target_ids", "modification", "kind"]
    file, expect = expected.paths.pairs(dataset), expected.pairs(dataset)
    return _by_key(read_some(file, PAIRS, "query_id", ids, columns, expect), "query_id")


def _answers(expected: Expected, dataset: str, ids: Sequence[str]) -> dict[Any, dict[str, Any]]:
    """The first results by query and method."""
    columns = ["query_id", "method", "rank", "top", "scores", "shares"]
    file, expect = expected.paths.rankings(dataset), shown_rankings(expected, dataset)
    first = pl.DataFrame(read_some(file, RANKINGS, "query_id", ids, columns, expect))
    first = first.with_columns(pl.col("top", "scores", "shares").list.head(TOP))
    return first.rows_by_key(["query_id", "method"], named=True, unique=True)


def _refuse_unknown(
    expected: Expected, dataset: str, queries: set[str], images: "_Images", answers: Mapping[Any, Any]
) -> None:
    """Refuse rankings with unknown `queries`, or with images that the corpus does not have."""
    unknown = queries | images.unknown({image for row in answers.values() for image in row["top"]})
    if unknown:
        reason = "the rankings name queries or images that the corpus does not have"
        mend = remedy("evaluate", dataset)
        raise UserError(reason, mend, file=expected.paths.rankings(dataset), value=min(unknown))


class _Images:
    """The images of a gallery: each has a place, and the first of them get a picture.

    Args:
        named: ids of all images that may be wanted.
    """

    def __init__(self, expected: Expected, dataset: str, named: set[str]) -> None:
        file, expect = expected.paths.images(dataset), expected.corpus(dataset)
        columns = ["image_id", "path", "sha256", "width", "height"]
        rows = read_some(file, IMAGES, "image_id", named, columns, expect)
        self._known, self._root = _by_key(rows, "image_id"), expected.paths.root
        self._large: dict[str, bool] = {}
        self._place: dict[str, int] = {}
        self._pictures: dict[str, Wanted] = {}
        self._sizes: dict[str, tuple[int, int]] = {}

    def unknown(self, image_ids: set[str]) -> set[str]:
        """Those that the corpus does not have."""
        return image_ids - self._known.keys()

    def want(self, *image_ids: str, large: bool = False) -> None:
        """Images that come earlier are sooner given a picture."""
        for image_id in image_ids:
            self._large[image_id] = large or self._large.get(image_id, False)

    def keep_pictures(self, count: int) -> None:
        """Give the first images a picture, and all of them a place."""
        self._place = {image_id: place for place, image_id in enumerate(self._large)}
        for image_id, place in self._place.items():
            row = self._known[image_id]
            self._sizes[image_id] = (row["width"], row["height"])
            if place < count:
                wanted = Wanted(self._root / row["path"], row["sha256"], self._large[image_id])
                self._pictures[image_id] = wanted

    def place(self, image_id: str) -> int | None:
        return self._place.get(image_id)

    def size(self, image_id: str) -> tuple[int, int]:
        return self._sizes[image_id]

    def rows(self) -> list[list[Any]]:
        """Id, picture and larger picture of each image; None where there is none."""
        rows: list[list[Any]] = []
        for image_id in self._place:
            picture = self._pictures.get(image_id)
            tile = picture.tile_name if picture else None
            rows.append([image_id, tile, picture.large_name if picture and picture.large else None])
        return rows

    def wanted(self) -> list[Wanted]:
        return list(self._pictures.values())


def _query(
    query_id: str,
    query: Mapping[str, Any],
    caption: Mapping[str, Any] | None,
    answers: Mapping[Any, Mapping[str, Any]],
    methods: Sequence[str],
    images: _Images,
) -> dict[str, Any]:
    found = [answers.get((query_id, method)) for method in methods]
    right = (images.place(image_id) for image_id in [query["target_id"], *query["target_ids"]])
    caption = caption or {}
    return {
        "id": query_id,
        "kind": query["kind"],
        "modification": query["modification"],
        "reference": images.place(query["reference_id"]),
        "target": images.place(query["target_id"]),
        "right": list(dict.fromkeys(place for place in right if place is not None)),  # that a result shows
        "answers": len(set(query["target_ids"])),
        "caption": said(caption),
        "missed": caption.get("missed") or [],
        "invented": caption.get("invented") or [],
        "ranks": [row and row["rank"] for row in found],
        "top": [[images.place(image_id) for image_id in row["top"]] if row else [] for row in found],
        "scores": [row and [round(score, _DIGITS) for score in row["scores"]] for row in found],
        "shares": [row and _shares(row["shares"]) for row in found],
    }


def _shares(rows: Sequence[Mapping[str, float]] | None) -> list[list[float]] | None:
    if rows is None:
        return None
    return [[round(value, _DIGITS) for value in row.values()] for row in rows]


def _references(
    expected: Expected, dataset: str, ids: Sequence[str], images: _Images
) -> dict[int, dict[str, Any]]:
    """Interpretation and scene graph of each reference, by its place among the images."""
    texts = _rows(expected, "interpretations", dataset, INTERPRETATIONS, "image_id", ids)
    paths = expected.paths
    file, expect = paths.scene_graphs(dataset), expected.corpus(dataset)
    graphs = _by_key(read_some(file, SCENE_GRAPHS, "image_id", ids, expect=expect), "image_id")
    found: dict[int, dict[str, Any]] = {}
    for image_id in dict.fromkeys(ids):
        place = images.place(image_id)
        assert place is not None
        graph = graphs.get(image_id)
        found[place] = {"text": said(texts.get(image_id, {})), "graph": graph and _graph(graph)}
    return found


def _graph(row: Mapping[str, Any]) -> dict[str, Any]:
    """Objects as name, attributes and box in shares of the image; relations as places of objects."""
    objects = row["objects"][:_OBJECTS]
    place = {each["object_id"]: number for number, each in enumerate(objects)}
    return {
        "scene": row["scene"],
        "more": len(row["objects"]) - len(objects),
        "size": [row["width"], row["height"]],
        "objects": [
            [each["name"], each["attributes"] or [], _box(each["bbox"], row["width"], row["height"])]
            for each in objects
        ],
        "relations": list(_relations(row, place))[:_RELATIONS],
    }


def _relations(row: Mapping[str, Any], place: Mapping[int, int]) -> Iterator[list[Any]]:
    for relation in row["relationships"]:
        subject, object_ = place.get(relation["subject_id"]), place.get(relation["object_id"])
        if subject is not None and object_ is not None:
            yield [subject, relation["predicate"], object_]


def _box(box: Mapping[str, float] | None, width: int, height: int) -> list[float] | None:
    if box is None:
        return None
    sides = (("x", width), ("y", height), ("w", width), ("h", height))
    return [round(box[key] / max(1, side), _DIGITS) for key, side in sides]


def said(row: Mapping[str, Any]) -> str:
    """The text of a row of captions, or why it has none."""
    if not row:
        return "(not in the table)"
    return row["text"] if row["text"] is not None else f"({row['status']}: {row['error']})"


def _rows(
    expected: Expected, kind: str, dataset: str, schema: pa.Schema, key: str, ids: Sequence[str]
) -> dict[Any, dict[str, Any]]:
    file, expect = getattr(expected.paths, kind)(dataset), getattr(expected, kind)(dataset)
    columns = [key, "text", "status", "error", "missed", "invented"]
    return _by_key(read_some(file, schema, key, ids, columns, expect), key)


def _by_key(table: pa.Table, key: str) -> dict[Any, dict[str, Any]]:
    return pl.DataFrame(table).rows_by_key(key, named=True, unique=True)
