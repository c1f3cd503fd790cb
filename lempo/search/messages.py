"""What the API takes and gives, as JSON."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from lempo.search.searcher import Answer, Hit
from trainer.retrieval.similarity import SHARES, TERMS

MOST_HITS = 200
MOST_LETTERS = 2000  # of a text, a filter or an id
MOST_BYTES = 64 * 2**20  # of a request, the uploaded image in it

Similarity = Literal["triplet", "language", "pseudo_caption"]
Weight = Annotated[FiniteFloat, Field(ge=-1, le=1)]


class SearchRequest(BaseModel):
    """A query: a reference, a text, or both. The reference is `image_id`, or `image` in a multipart form."""

    model_config = ConfigDict(extra="forbid")

    image_id: str | None = Field(None, max_length=MOST_LETTERS, description="The reference, an image here.")
    text: str | None = Field(
        None, max_length=MOST_LETTERS, description='The modification, as "remove the cars".'
    )
    graph: dict[str, Any] | None = Field(
        None, description="The reference's scene graph, as in scene_graphs.json."
    )
    k: int = Field(24, ge=1, le=MOST_HITS, description="How many images are wanted.")
    where: str | None = Field(
        None, max_length=MOST_LETTERS, description="A filter over the columns, as \"date > '2024-01-01'\"."
    )
    weights: dict[Similarity | Literal["image", "text", "graph"], Weight] | None = Field(
        None, description="Of the similarities and of the triplet's mixture. Absent ones: the index's own."
    )
    similarities: list[Similarity] | None = Field(
        None, description="Those that are switched on. Absent: all three."
    )


class FoundImage(BaseModel):
    """An image with its score, the sum of its shares: each similarity times its weight."""

    image_id: str
    score: float | None
    shares: dict[str, float | None]
    columns: dict[str, Any]


class SearchAnswer(BaseModel):
    """What was found, the best first, and how."""

    hits: list[FoundImage]
    left_out: list[str] = Field(description="What could not be computed, one sentence each.")
    interpretation: str | None = Field(description="The text that stands for the reference's scene graph.")
    pseudo_caption: str | None = Field(description="The text that describes the image asked for.")
    weights: dict[str, float | None]
    seconds: float


class ListedImages(BaseModel):
    """Some images of the index; `total` counts all that the filter lets through."""

    images: list[dict[str, Any]]
    total: int


class Problem(BaseModel):
    """What is wrong with a request, and what to do."""

    message: str
    reason: str
    remedy: str
    field: str | None = None


class Refusal(BaseModel):
    error: Problem


def chosen_weights(request: SearchRequest, own: Mapping[str, float] | None = None) -> dict[str, float] | None:
    """The weights that a request asks for, of the similarities with sum 1; None: the index's own.

    Args:
        own: the index's own weights, for a similarity that is on and has none in the request.
    """
    weights: dict[str, float] = {str(name): value for name, value in (request.weights or {}).items()}
    on = TERMS if request.similarities is None else request.similarities
    if not weights and set(on) == set(TERMS):
        return None
    chosen = {name: value for name, value in weights.items() if name in SHARES}
    if set(on) != set(TERMS) or any(name in weights for name in TERMS):
        given = {
            name: max(0.0, weights.get(name, (own or {}).get(name, 1.0))) if name in on else 0.0
            for name in TERMS
        }
        total = sum(given.values())
        if not total:  # all that is on has weight 0: each counts the same
            given, total = {name: float(name in on) for name in TERMS}, float(len(set(on)))
        chosen |= {name: value / total for name, value in given.items()} if total else given
    return chosen


def found(hit: Hit) -> FoundImage:
    """A hit as the API gives it."""
    return FoundImage(
        image_id=hit.image_id,
        score=plain(float(hit.score)),
        shares={name: plain(float(share)) for name, share in hit.shares.items()},
        columns=plain(hit.columns),
    )


def answered(answer: Answer) -> SearchAnswer:
    """An answer as the API gives it."""
    return SearchAnswer(
        hits=[found(hit) for hit in answer.hits],
        left_out=list(answer.left_out),
        interpretation=answer.interpretation,
        pseudo_caption=answer.pseudo_caption,
        weights={name: plain(float(weight)) for name, weight in answer.weights.items()},
        seconds=answer.seconds,
    )


def described(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The columns for a filter, those with values first: name, type, and a value of one of the rows.

    A column of several values, such as `bounds`, becomes one for each: `bounds.left`.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        value = next((row[name] for row in rows if row.get(name) not in (None, "")), None)
        parts = (
            {f"{name}.{part}": each for part, each in value.items()}
            if isinstance(value, Mapping)
            else {name: value}
        )
        for part, each in parts.items():
            kind = None if each is None else "text" if isinstance(each, str) else "number"
            found[part] = {"name": part, "type": kind, "example": plain(each)}
    return sorted(found.values(), key=lambda column: column["type"] is None)


def plain(value: Any) -> Any:
    """A column's value as JSON has it: dates as text, and null for what is no number."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(each) for each in value]
    return plain(value.item()) if hasattr(value, "item") else str(value)
