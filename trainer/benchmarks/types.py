"""What every reader returns: queries, the images they search, and what answers them."""

from dataclasses import dataclass
from pathlib import Path


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
