"""The benchmarks by name."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError
from trainer.benchmarks import circo, cirr, fashioniq, patterncom
from trainer.benchmarks.types import BenchmarkSplit

_REMEDY = "Restore the benchmark's files as they were published"


@dataclass(frozen=True)
class Layout:
    """A reader and the splits that it reads; the first one is measured by default."""

    read: Callable[[Path, str], BenchmarkSplit]
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
        remedy = f"Use one of {', '.join(LAYOUTS)}"
        raise UserError("there is no such layout", remedy, field="LAYOUT", value=name)
    return LAYOUTS[name]


def read_split(name: str, root: Path, split: str) -> BenchmarkSplit:
    """Read one split of the benchmark `name`.

    Raises:
        UserError: the layout, the folder or the split does not exist, a category has no query or one id
            twice, or what the reader raises.
    """
    layout = find_layout(name)
    if split not in layout.splits:
        remedy = f"Use one of {', '.join(layout.splits)}"
        raise UserError("the benchmark has no such split", remedy, field="split", value=split)
    if not root.is_dir():
        remedy = "Name the benchmark's folder; docs/benchmarks.md shows it"
        raise UserError("there is no such folder", remedy, file=root)
    loaded = layout.read(root, split)
    for category in loaded.categories:
        if not category.queries:
            raise UserError("the category has no query", _REMEDY, file=root, field=category.name)
        times = Counter(query.query_id for query in category.queries)
        query_id, count = times.most_common(1)[0]
        if count > 1:
            reason = f"{count} queries have the same id"
            raise UserError(reason, _REMEDY, file=root, field=category.name, value=query_id)
    return loaded
