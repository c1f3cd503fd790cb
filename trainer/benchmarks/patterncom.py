"""PatternCom (Psomas et al., IGARSS 2024): aerial images of PatternNet and one attribute to change.

Under ROOT: `patternnet.csv` (a line an image: path, number and class, separated by spaces), the images as it
names them, and `PatternCom/<attribute>.csv` (image, attribute, value; no header).

An image of a class with value x makes one query for every other value y that its class has; the text is y
alone. Images of the same class with value y are right. Some classes count as one, as in the published
evaluation: which of them share their values depends on the attribute, which of them are right does not.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.base.errors import UserError
from trainer.benchmarks.figures import count_right, hits, means, percent, precision_at, share_found_at
from trainer.benchmarks.files import Row, require, sorted_gallery
from trainer.benchmarks.types import Benchmark, BenchmarkQuery, Category, Ranked

ATTRIBUTES = ("color", "context", "density", "existence", "quantity", "shape")
_ONE_CLASS = {
    "density": {"denseresidential": "residential", "sparseresidential": "residential"},
    "shape": {"closedroad": "road", "intersection": "road"},
    "context": {"bridge": "roadpass", "overpass": "roadpass"},
    "existence": {
        "ferryterminal": "pier",
        "harbor": "pier",
        "parkingspace": "parking",
        "parkinglot": "parking",
    },
}
_ONE_ANSWER = {name: merged for classes in _ONE_CLASS.values() for name, merged in classes.items()}


@dataclass(frozen=True)
class _Labelled:
    image: str
    kind: str  # what the row calls the attribute
    value: str
    asking: str  # the class whose values its images are asked to have
    answering: str  # the class whose images are right


def read_patterncom(root: Path, split: str, labelled: bool) -> list[Category]:
    """Read all attributes, a category each; there is one split, `all`.

    Raises:
        UserError: a file is missing, a row is malformed, or an image is not in patternnet.csv.
    """
    gallery = _gallery(root)
    return [
        Category(attribute, _queries(root / f"PatternCom/{attribute}.csv", attribute, gallery), gallery)
        for attribute in ATTRIBUTES
    ]


def _gallery(root: Path) -> dict[str, Path]:
    """File of every image by its bare name, which the attributes use."""
    listing = root / "patternnet.csv"
    files = {}
    for number, line in enumerate(_text(listing).splitlines()):
        if line.strip():
            path = Row(listing, number, {"path": line.split(" ")[0]}).path("path")
            files[path.name] = root / path
    return sorted_gallery(files, listing)


def _queries(file: Path, attribute: str, gallery: dict[str, Path]) -> list[BenchmarkQuery]:
    rows = list(_read(file, attribute, gallery))
    # of an image that stands twice the last row counts, as in the published evaluation
    last = {row.image: row for row in rows}
    values, right = defaultdict(set), defaultdict(list)
    for row in rows:
        values[row.kind, row.asking].add(row.value)
    for image, row in sorted(last.items()):
        right[row.answering, row.value].append(image)
    return [
        BenchmarkQuery(f"{number} {value}", row.image, value, None, tuple(right[row.answering, value]))
        for number, row in enumerate(rows)
        for value in sorted(values[row.kind, row.asking] - {row.value})
    ]


def _read(file: Path, attribute: str, gallery: dict[str, Path]) -> Iterator[_Labelled]:
    classes = _ONE_CLASS.get(attribute, {})
    for number, values in enumerate(csv.reader(_text(file).splitlines())):
        if values:
            row = Row(file, number, dict(zip(("image", "attribute", "value"), values, strict=False)))
            image = row.image("image", gallery)
            own = re.split(r"\d", image)[0]  # `airplane` of `airplane001.jpg`
            labels = row.text("attribute"), row.text("value")
            yield _Labelled(image, *labels, classes.get(own, own), _ONE_ANSWER.get(own, own))


def _text(path: Path) -> str:
    require(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError("the file is not UTF-8", "Save it as UTF-8", file=path, value=error) from None


def patterncom_figures(categories: Sequence[Ranked]) -> dict[str, Any]:
    """mAP, R@K and P@K (K 5, 10, 15, 20) of each attribute, their mean, and over all queries.

    R@K is the share of a query's right answers that are found, not the share of queries with a hit. A query
    that no image answers counts as 0.
    """
    by_query = {ranked.name: _patterncom_queries(ranked) for ranked in categories}
    figures = {
        attribute: {name: percent(values) for name, values in queries.items()}
        for attribute, queries in by_query.items()
    }
    names = next(iter(figures.values())).keys()
    pooled = {name: percent(torch.cat([queries[name] for queries in by_query.values()])) for name in names}
    return {**figures, "mean": means(figures), "all_queries": pooled}


def _patterncom_queries(ranked: Ranked) -> dict[str, Tensor]:
    """Each figure of every query, float64 (Q,), 0 to 1."""
    right = count_right(ranked)
    hit = hits(ranked.rankings.top, ranked.answers.right.cpu())
    figures = {"mAP": torch.where(right > 0, ranked.rankings.average_precision, 0.0)}
    for k in (5, 10, 15, 20):
        figures[f"R@{k}"] = share_found_at(hit, right, k)
        figures[f"P@{k}"] = precision_at(hit, k)
    return figures


PATTERNCOM = Benchmark(
    read=read_patterncom,
    splits=("all",),
    withheld=(),
    reference_removed=False,
    figures=patterncom_figures,
    headline="mean.mAP",
    columns=tuple(f"{name}.mAP" for name in (*ATTRIBUTES, "mean", "all_queries")),
)
