"""The benchmarks by name."""

from collections import Counter
from pathlib import Path

from pipeline.base.errors import UserError, perhaps
from trainer.benchmarks.circo import CIRCO
from trainer.benchmarks.cirr import CIRR
from trainer.benchmarks.fashioniq import FASHIONIQ
from trainer.benchmarks.patterncom import PATTERNCOM
from trainer.benchmarks.types import Benchmark, BenchmarkSplit

BENCHMARKS = {"cirr": CIRR, "fashioniq": FASHIONIQ, "circo": CIRCO, "patterncom": PATTERNCOM}
_REMEDY = "Restore the benchmark's files as they were published"


def find_benchmark(layout: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        UserError: there is none.
    """
    if layout not in BENCHMARKS:
        remedy = f"{perhaps(layout, BENCHMARKS)}Use one of {', '.join(BENCHMARKS)}"
        raise UserError("there is no such layout", remedy, field="LAYOUT", value=layout)
    return BENCHMARKS[layout]


def read_split(layout: str, root: Path, split: str) -> BenchmarkSplit:
    """Read one split of a benchmark.

    Raises:
        UserError: the layout, the folder or the split does not exist, a category has no query or one id
            twice, or what the reader raises.
    """
    benchmark = find_benchmark(layout)
    if split not in benchmark.splits:
        remedy = f"{perhaps(split, benchmark.splits)}Use one of {', '.join(benchmark.splits)}"
        raise UserError("the benchmark has no such split", remedy, field="split", value=split)
    if not root.is_dir():
        remedy = "Name the benchmark's folder; docs/benchmarks.md shows it"
        raise UserError("there is no such folder", remedy, file=root)
    labelled = split not in benchmark.withheld
    categories = benchmark.read(root, split, labelled)
    for category in categories:
        if not category.queries:
            raise UserError("the category has no query", _REMEDY, file=root, field=category.name)
        times = Counter(query.query_id for query in category.queries)
        query_id, count = times.most_common(1)[0]
        if count > 1:
            reason = f"{count} queries have the same id"
            raise UserError(reason, _REMEDY, file=root, field=category.name, value=query_id)
    return BenchmarkSplit(layout, split, categories, benchmark.reference_removed, labelled)
