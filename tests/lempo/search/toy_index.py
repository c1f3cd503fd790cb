"""An index of a folder's images that ranks by colours: quick, for tests of the API and the page."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from lempo.search.searcher import Answer, Hit, Query
from pipeline.base.decode import UnusableImage, decode
from pipeline.base.errors import UserError

TERMS = ("triplet", "language", "pseudo_caption")
COLOURS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 200)}


class ToyIndex:
    """The images of a folder, with columns for filters; `seconds` is how long a search takes."""

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self.files = {file.name: file for file in sorted(folder.iterdir())}
        self.seconds = seconds
        self.asked: list[Query] = []
        self.features = {name: _known(file) for name, file in self.files.items()}
        self.table = pl.DataFrame(
            [
                {
                    "image_id": name, "path": str(file), "place": f"place {number % 3}",
                    "date": f"2024-0{1 + number % 9}-15", "licence": "CC-BY-4.0",
                    "bounds": {"left": 1.5 * number, "bottom": 2.0, "right": 1.5 * number + 1, "top": 3.0},
                    "extra": '{"sensor": "<b>PAN</b>", "clouds": 0.1}',
                }
                for number, (name, file) in enumerate(self.files.items())
            ]
        )  # fmt: skip

    def search(self, query: Query) -> Answer:
        self.asked.append(query)
        time.sleep(self.seconds)
        start = time.perf_counter()
        vectors = []
        if query.image is not None or query.image_id is not None:
            data = (
                query.image
                if isinstance(query.image, bytes)
                else self.picture(str(query.image_id)).read_bytes()
            )
            vectors.append(_feature(data))
        vectors += [np.array(COLOURS[word]) for word in (query.text or "").split() if word in COLOURS]
        wanted = np.mean(vectors, axis=0) if vectors else np.array((128, 128, 128))
        weights = dict.fromkeys(TERMS, 1 / 3) | {
            name: value for name, value in (query.weights or {}).items() if name in TERMS
        }
        hits = []
        for row in self._filtered(query.where).iter_rows(named=True):
            name = row.pop("image_id")
            if name == query.image_id:
                continue
            likeness = 1 - float(np.abs(self.features[name] - wanted).mean()) / 255
            shares = {term: weights[term] * likeness for term in TERMS}
            hits.append(Hit(name, row.pop("path"), sum(shares.values()), shares, row))
        hits.sort(key=lambda hit: (-hit.score, hit.image_id))
        left_out = ["No LLM is at hand, so no pseudo caption was written."] if not query.text else []
        said = f"An aerial image with {query.text}." if query.text else None
        seconds = time.perf_counter() - start
        return Answer(hits[: query.k], left_out, "An image of one colour.", said, weights, seconds)

    def picture(self, image_id: str) -> Path:
        if image_id not in self.files:
            raise UserError(
                "the index has no such image", "See /api/images", field="image_id", value=image_id
            )
        return self.files[image_id]

    def columns(self, image_id: str) -> dict[str, Any]:
        self.picture(image_id)
        return self.table.drop("image_id", "path").row(self.table["image_id"].index_of(image_id), named=True)

    def browse(
        self, where: str | None, offset: int, limit: int, sample: int | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        rows = self._filtered(where)
        if sample is not None:
            rows = rows.sample(fraction=1, shuffle=True, seed=sample)
        return rows.slice(offset, limit).to_dicts(), len(rows)

    def info(self) -> dict[str, Any]:
        weights = {"triplet": 0.5, "language": 0.3, "pseudo_caption": 0.2}
        return {"dataset": "toy", "rows": len(self.files), "columns": self.table.columns, "weights": weights}

    def _filtered(self, where: str | None) -> pl.DataFrame:
        if where is None:
            return self.table
        try:
            return self.table.sql(f"SELECT * FROM self WHERE {where}")
        except Exception as error:
            reason = f"the filter cannot be read: {error}"
            raise UserError(reason, "Use the columns of /api/info", field="where", value=where) from None


def _feature(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).convert("RGB").resize((1, 1), Image.Resampling.BOX), float)[0, 0]


def _known(file: Path) -> np.ndarray:
    """A file that breaks after it was indexed has a feature too."""
    try:
        return _feature(file.read_bytes())
    except UnusableImage:
        return np.full(3, 128.0)
