"""Queries to an index: what is asked, what is found, and how a score is made up of its shares."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from lempo.search.database import CARRIED, COLUMNS, Database
from lempo.search.encoder import gallery_of, load_encoder
from lempo.search.language import Language
from lempo.search.reference import Reference, reference_of, row_of
from lempo.search.settings import TABLES, Settings, read_manifest, root_of
from lempo.search.texts import Tables, Words, words_of
from lempo.search.weights import PLAIN, Plan, asked_weights, plan_query, wanted_texts
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from pipeline.llm.types import Engine
from trainer.retrieval.similarity import (
    QUERY_INPUTS,
    TERMS,
    QueryFeatures,
    hybrid_query,
    similarity,
    term_queries,
)

_MARGIN = 10  # further images, since the database compares in another precision


@dataclass(frozen=True)
class Query:
    """What somebody searches for: a reference, a text, or both.

    Attributes:
        image: the reference, a file or its bytes.
        image_id: the reference, an image of the index; at most one of `image` and `image_id`.
        text: the modification, as in "remove the cars".
        graph: the reference's scene graph, as in `scene_graphs.json`; None: the index's own, if any.
        k: how many hits are wanted.
        where: a filter over the index's columns, SQL, as in "date > '2024-01-01'".
        weights: of similarities (triplet, language, pseudo_caption) and of the shares of the triplet's
            mixture (image, text, graph), where they shall not be the index's own.
    """

    image: Path | bytes | None = None
    image_id: str | None = None
    text: str | None = None
    graph: Mapping[str, Any] | None = None
    k: int = 10
    where: str | None = None
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Hit:
    """One image found.

    Attributes:
        image_id: its id in the index.
        path: its file, as the index names it.
        score: the hybrid similarity, the sum of the shares.
        shares: each similarity times its weight, by name.
        columns: the carried columns that are not empty, such as place, date and licence.
    """

    image_id: str
    path: str
    score: float
    shares: dict[str, float]
    columns: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What was found, and how.

    Attributes:
        hits: the best first.
        left_out: one sentence for each thing that the method has and that could not be computed.
        interpretation: the text that stands for the reference's scene graph; None: there is none.
        pseudo_caption: the text that describes the image asked for; None: there is none.
        weights: of the similarities and of the triplet's mixture, as they were used.
        seconds: how long it took.
    """

    hits: list[Hit] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    interpretation: str | None = None
    pseudo_caption: str | None = None
    weights: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Searcher:
    """An open index with its models; any number of threads may search.

    Args:
        index_folder: that `lempo index` wrote.
        params: of the project; None outside a project.
        paths: of the project.
        llm: True: the language model that the parameters name; or what opens an engine; False or None: none.
        vlm: the vision language model, where it is not the parameters' or, outside a project, the index's.
        exact: compare every image, even if there is an approximate index.

    Raises:
        UserError: the index is missing or unfinished, or was made by another model; both values are named.
    """

    def __init__(
        self,
        index_folder: Path | str,
        params: Params | None = None,
        paths: Paths | None = None,
        llm: bool | Callable[[], Engine] | None = None,
        vlm: VlmParams | None = None,
        exact: bool = False,
    ) -> None:
        self.folder, self._paths = Path(index_folder), paths or Paths()
        self._manifest = read_manifest(self.folder)
        self._settings = Settings.of(params, vlm)
        self._database = Database(self.folder / TABLES, self._manifest["table"])
        self._encoder = load_encoder(self._manifest, self._settings, params is not None, self._paths)
        known = self._manifest.get("approximate")
        self._approximate = known if known and known["used"] and not exact else None
        self._tables: Tables | None = None
        self._notes = [*self._encoder.notes]
        if params is not None and self._manifest["kind"] == "dataset":
            expected = Expected(params, self._paths)
            self._tables = Tables(expected, self._manifest["dataset"])
            self._notes += self._tables.notes
            self._notes += self._stale(expected)
        self._language: Language | None = None
        if llm and params is not None:
            self._language = Language(params, self._paths, None if llm is True else llm)
        self._lock = threading.Lock()  # around the models

    def search(self, query: Query) -> Answer:
        """Find the images that fit a query.

        Raises:
            UserError: neither a reference nor a text is given, or one of them, the graph, the filter, the
                weights or `k` cannot be used.
        """
        start = time.perf_counter()
        text = _checked(query)
        if query.where is not None:
            self._database.count(query.where)
        asked = asked_weights(self._encoder.choice, query.weights)
        left_out = [*self._notes]
        with self._lock:
            reference = reference_of(query.image, query.image_id, self._database, self._encoder)
            if query.graph is not None and reference is None:
                left_out.append("the scene graph: there is no reference")
            words = Words()
            if reference is not None:
                words = words_of(
                    text, reference.image_id, query.graph, reference.size, self._tables, self._language,
                    wanted_texts(asked, text),
                )  # fmt: skip
            left_out += words.left_out
            plan = plan_query(asked, reference is not None, text, words.interpretation, words.pseudo_caption)
            left_out += plan.left_out
            terms = self._terms(plan, reference, left_out)
        weights = torch.tensor(plan.choice.weights)
        removed = (
            reference.same if reference is not None and self._settings.reference_removed else frozenset()
        )
        hits = self._hits(terms, weights, query, removed)
        if len(hits) < query.k:
            kept = "the filter keeps" if query.where is not None else "the index holds"
            left_out.append(f"{query.k - len(hits)} of {query.k} hits: {kept} no more images")
        return Answer(
            hits,
            left_out,
            words.interpretation,
            words.pseudo_caption,
            {**plan.choice.record()["weights"], **plan.choice.record()["mixture"]},
            time.perf_counter() - start,
        )

    def picture(self, image_id: str) -> Path:
        """The file of an image.

        Raises:
            UserError: the index has no such image, or its file is not there.
        """
        file = self._file(row_of(self._database, image_id)["path"])
        if not file.is_file():
            raise UserError("the image file is missing", "Run `lempo index` again", file=file)
        return file

    def columns(self, image_id: str) -> dict[str, Any]:
        """The carried columns of an image that are not empty.

        Raises:
            UserError: the index has no such image.
        """
        return _carried(row_of(self._database, image_id))

    def browse(
        self, where: str | None, offset: int, limit: int, sample: int | None = None
    ) -> tuple[list[dict[str, Any]], int]:
        """Some images with their carried columns, and how many the filter keeps.

        Args:
            where: a filter, as in a query.
            sample: the number of a random order; None: in the order of their ids.

        Raises:
            UserError: the filter cannot be used.
        """
        if where is not None:
            self._database.count(where)
        ids = self._database.ids(where)
        if sample is not None:
            ids = ids.take(pa.array(np.random.default_rng(sample).permutation(len(ids))))
        chosen = ids.slice(offset, limit).to_pylist()
        found = {row["image_id"]: row for row in self._database.rows("image_id", chosen)}
        rows = [
            {"image_id": image_id, **_carried(found[image_id])} for image_id in chosen if image_id in found
        ]
        return rows, len(ids)

    def info(self) -> dict[str, Any]:
        """What the index is: `kind`, `dataset`, `rows`, `vlm`, `dimension`, `approximate` and so on.

        `approximate` has the recall at 10 against exact search, as measured when it was built; it is None
        where every image is compared. `tuned`, `weights` and `llm` say how it is searched, `columns` what a
        filter may name.
        """
        return {
            **self._manifest,
            "rows": len(self._database),
            "tuned": self._encoder.tuned,
            "llm": self._language is not None,
            "columns": list(COLUMNS),
            **self._encoder.choice.record(),
            "notes": list(self._notes),
        }

    def close(self) -> None:
        """Close the language model's engine."""
        if self._language is not None:
            self._language.close()

    def _terms(self, plan: Plan, reference: Reference | None, left_out: list[str]) -> torch.Tensor:
        """The query vectors (3, D) of `TERMS`."""
        named = {name: text for name, text in plan.texts.items() if text}
        for name, text in named.items():
            if (cut := self._encoder.cut(text)) is not None:
                left_out.append(f"the end of the {PLAIN[name]}: {cut}")
        vectors = dict.fromkeys(QUERY_INPUTS, torch.zeros(1, self._database.dimension))
        if named:
            distinct = list(dict.fromkeys(named.values()))
            encoded = dict(zip(distinct, self._encoder.texts(distinct), strict=True))
            vectors |= {name: encoded[text][None] for name, text in named.items()}
        if reference is not None:
            vectors["image"] = reference.feature[None]
        return term_queries(QueryFeatures(**vectors), plan.choice.mixture)[:, 0]

    def _hits(
        self, terms: torch.Tensor, weights: torch.Tensor, query: Query, removed: frozenset[str]
    ) -> list[Hit]:
        vector = hybrid_query(terms[:, None], weights)[0]  # (D,)
        rows, found = self._database.nearest(
            vector.numpy(),
            query.k + len(removed) + _MARGIN,
            query.where,
            self._approximate if query.where is None else None,
        )
        gallery = gallery_of(found)
        shares = weights[:, None] * similarity(terms, gallery)  # (3, n)
        scores = similarity(vector[None], gallery)[0].tolist()
        best = sorted(
            (place for place, row in enumerate(rows) if row["image_id"] not in removed),
            key=lambda place: (-scores[place], rows[place]["image_id"]),
        )
        return [
            Hit(
                rows[place]["image_id"],
                str(self._file(rows[place]["path"])),
                scores[place],
                {name: shares[t, place].item() for t, name in enumerate(TERMS) if weights[t]},
                _carried(rows[place]),
            )
            for place in best[: query.k]
        ]

    def _file(self, path: str) -> Path:
        return root_of(self._manifest, self.folder, self._paths) / path

    def _stale(self, expected: Expected) -> list[str]:
        try:
            now = expected.corpus(self._manifest["dataset"])["images"]
        except UserError as error:
            return [f"a comparison of the index with the dataset: {error}"]
        if now == self._manifest["images"]:
            return []
        return ["what the dataset's table of images has changed since: run `lempo index` again"]


def _checked(query: Query) -> str | None:
    """The text of a query that can be searched for."""
    if query.image is not None and query.image_id is not None:
        raise UserError("two references are given", "Give either an image or an id", field="id")
    if query.k < 1:
        raise UserError("there is no such number of hits", "Give 1 or more", field="k", value=query.k)
    if query.text is not None and not query.text.strip():
        remedy = "Say what shall change, or leave the text out"
        raise UserError("the text is empty", remedy, field="text", value=query.text)
    if query.image is None and query.image_id is None and query.text is None:
        remedy = "Give a reference (an image, or an id), a text, or both"
        raise UserError("there is nothing to search for", remedy)
    return query.text


def _carried(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in CARRIED if row[name] is not None}
