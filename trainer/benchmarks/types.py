"""What every benchmark is, whatever its layout: queries, the images they search, and what answers them."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BenchmarkQuery:
    """A reference image and a text.

    Attributes:
        query_id: unique in its part.
        reference: an image of the gallery.
        target: the image that the text was written for; None where labels are withheld, and where no answer
            is more right than another.
        right: every right answer; empty where labels are withheld.
        members: the images of the query's own small set, the reference left out; empty where there is none.
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
class Part:
    """Queries that search the same images.

    `gallery` is the file of each image, in the order of their ids.
    """

    name: str
    queries: list[BenchmarkQuery]
    gallery: dict[str, Path]


@dataclass(frozen=True)
class Benchmark:
    """One split of a benchmark.

    Attributes:
        parts: more than one where queries of different kinds are counted apart.
        reference_removed: whether the reference is no candidate, as the benchmark's protocol has it.
        labelled: whether the right answers are public.
    """

    layout: str
    split: str
    parts: list[Part]
    reference_removed: bool
    labelled: bool
