"""What a benchmark is made of, and what its splits are read and ranked into."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer.retrieval.answers import Answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Rankings


@dataclass(frozen=True)
class BenchmarkQuery:
    """A reference image and a text.

    Attributes:
        query_id: unique in its category.
        reference: an image of the gallery.
        target: the image that the text was written for; None where labels are withheld, and where no right
            answer is the target.
        right: every right answer; empty where labels are withheld.
        members: the images of the query's own small set without the reference; empty where there is none.
        aspects: what the text asks for, in the benchmark's words.
    """

    query_id: str
    reference: str
    text: str
    target: str | None
    right: tuple[str, ...]
    members: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Category:
    """Queries that search the same images and are counted together.

    `gallery` is the file of each image, in the order of their ids.
    """

    name: str
    queries: list[BenchmarkQuery]
    gallery: dict[str, Path]


@dataclass(frozen=True)
class BenchmarkSplit:
    """One split of a benchmark.

    Attributes:
        layout: the benchmark, as `lempo benchmark` names it.
        name: of the split.
        categories: FashionIQ's categories, PatternCom's attributes; elsewhere one, `all`.
        reference_removed: whether the reference is no candidate; the benchmark's protocol says so.
        labelled: whether the right answers are public.
    """

    layout: str
    name: str
    categories: list[Category]
    reference_removed: bool
    labelled: bool


@dataclass(frozen=True)
class CategoryFeatures:
    """Q queries of one category and the N images they search.

    Attributes:
        gallery: of the N images, in the order of the category's gallery.
        reference: int64 (Q,), indices into the gallery.
        text: float32 (Q, D), L2-normalised.
        answers: what is right and what is removed.
        members: int64 (Q, M), gallery indices of each query's own set, padded with -1; M may be 0.
    """

    category: Category
    gallery: Gallery
    reference: Tensor
    text: Tensor
    answers: Answers
    members: Tensor

    @property
    def image(self) -> Tensor:
        """Features of the references, (Q, D)."""
        return self.gallery[self.reference]


@dataclass(frozen=True)
class Ranked:
    """One category of a benchmark as a method ranks it.

    Attributes:
        answers: of the category's Q queries.
        rankings: of the whole gallery, with its first images.
        set_rankings: of the members of each query's own set alone, as indices of members; None where the
            benchmark has no sets.
        aspects: what each query asks for, in the benchmark's words.
    """

    name: str
    answers: Answers
    rankings: Rankings
    set_rankings: Rankings | None
    aspects: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Benchmark:
    """How a benchmark's files are read, and how its published protocol counts.

    Attributes:
        read: the categories of a split under ROOT; the last argument says whether its labels are public.
        splits: the one that is measured by default first.
        withheld: the splits whose labels are not public.
        reference_removed: whether the protocol takes the reference out of the candidates.
        figures: of the ranked categories, in percent, nested by name.
        headline: the figure by which a share is chosen.
        columns: the figures of a short table. Both are names joined by dots.
        submissions: the files that the benchmark's server takes, by metric; None where there is no server.
    """

    read: Callable[[Path, str, bool], list[Category]]
    splits: tuple[str, ...]
    withheld: tuple[str, ...]
    reference_removed: bool
    figures: Callable[[Sequence[Ranked]], dict[str, Any]]
    headline: str
    columns: tuple[str, ...]
    submissions: Callable[[Ranked, CategoryFeatures], dict[str, dict[str, Any]]] | None = None
