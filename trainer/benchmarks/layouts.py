"""The benchmarks by name."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError
from trainer.benchmarks import circo, cirr, fashioniq, patterncom
from trainer.benchmarks.types import Benchmark, Part

_REMEDY = "Restore the benchmark's files as they were published"


@dataclass(frozen=True)
class Layout:
    """A reader and the splits it takes, the one that is measured by default first."""

    read: Callable[[Path, str], Benchmark]
    splits: tuple[str, ...]


LAYOUTS = {
    "cirr": Layout(cirr.read_cirr, cirr.SPLITS),
    "fashioniq": Layout(fashioniq.read_fashioniq, fashioniq.SPLITS),
    "circo": Layout(circo.read_circo, circo.SPLITS),
    "patterncom": Layout(patterncom.read_patterncom, patterncom.SPLITS),
}


def find_layout(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UserError: there is none.
    """
    if name not in LAYOUTS:
        raise UserError(
            "there is no such layout", f"Use one of {', '.join(LAYOUTS)}", field="LAYOUT", value=name
        )
    return LAYOUTS[name]


def read_benchmark(name: str, root: Path, split: str) -> Benchmark:
    """Read one split.

    Raises:
        UserError: the layout, the folder or the split is not there, a part has no query or one id twice, or
            what the reader raises.
    """
    layout = find_layout(name)
    if split not in layout.splits:
        raise UserError(
            "the benchmark has no such split",
            f"Use one of {', '.join(layout.splits)}",
            field="split",
            value=split,
        )
    if not root.is_dir():
        raise UserError(
            "there is no such folder", "Name the benchmark's folder; docs/benchmarks.md shows it", file=root
        )
    benchmark = layout.read(root, split)
    for part in benchmark.parts:
        _check_queries(part, root)
    return benchmark


def _check_queries(part: Part, root: Path) -> None:
    if not part.queries:
        raise UserError("a part of the benchmark has no query", _REMEDY, file=root, field=part.name)
    times = Counter(query.query_id for query in part.queries)
    name, count = times.most_common(1)[0]
    if count > 1:
        raise UserError(f"{count} queries have the same id", _REMEDY, file=root, field=part.name, value=name)
