"""Queries to an index: what is asked, what is found, and how a score is made up of its shares."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Query:
    """What somebody searches for: a reference, a text, or both.

    Attributes:
        image: the reference, a file or its bytes.
        image_id: the reference, an image of the index; at most one of `image` and `image_id`.
        text: the modification, as in "remove the cars".
        graph: the reference's scene graph, in the shape of `scene_graphs.json`; None: the index's own, if any.
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
