"""What `python -m speed.rows` measured: the table in docs/scaling.md, its plot, figures in `results.json`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from speed.figures import RESULTS, ROOT, Figure, read_results, record
from speed.page import write as write_performance
from speed.plot import Bar, shown, svg
from speed.registry import LONG
from speed.synthetic import DATASET

PAGE, PLOT = ROOT / "docs/scaling.md", ROOT / "docs/scaling.svg"
CHANGED = ", one graph changed"
LANGUAGE = ("interpret", "caption")
_TEXTS = ("corpus", "pairs", *LANGUAGE)
STAGES = (  # in the order in which they run; `pairs` takes queries that are brought, `pairs made` makes some
    *_TEXTS, *(f"{stage}{CHANGED}" for stage in _TEXTS),
    "features", f"tune {DATASET}", f"evaluate {DATASET}", "report", "pairs made",
)  # fmt: skip
_BEGIN, _END = "<!-- python -m speed.rows writes this table -->\n", "<!-- up to here -->\n"
_LINEAR = (100_000, 1_000_000)  # images

Rows = Mapping[str, Mapping[str, Any]]  # by the number of images


def table(rows: Rows) -> Iterator[str]:
    """The lines of a table: what each stage took, for each number of images."""
    sizes = sorted(map(int, rows))
    yield "| stage | " + " | ".join(f"{size:,} images" for size in sizes) + " |"
    yield "|---" * (len(sizes) + 1) + "|"
    for stage in STAGES:
        yield (
            f"| {_named(stage)} | "
            + " | ".join(_cell(rows[str(size)]["stages"].get(stage)) for size in sizes)
            + " |"
        )


def picture(rows: Rows) -> str:
    """The time of each stage over that of ten times fewer images, ten times; 1 is linear."""
    groups = {}
    for size in sorted(map(int, rows), reverse=True):
        if (fewer := rows.get(str(size // 10))) is not None:
            title = f"{size:,} images: time over 10 times that of {size // 10:,} images"
            ratios = _ratios(fewer["stages"], rows[str(size)]["stages"])
            groups[title] = [Bar(_named(stage), ratio) for stage, ratio in ratios.items()]
    return svg(groups)


def figures(rows: Rows) -> dict[str, Figure]:
    """The figures of a million rows, as far as stages were run; none before the captions after the change."""
    fewer, more = (rows.get(str(size), {}).get("stages", {}) for size in _LINEAR)
    changed = [more[f"{stage}{CHANGED}"] for stage in _TEXTS if f"{stage}{CHANGED}" in more]
    both = [stage for stage in STAGES if stage in fewer and stage in more]
    if len(changed) < len(_TEXTS) or not both:
        return {}
    of = "all stages" if len(both) == len(STAGES) else ", ".join(map(_named, both))
    seconds = [sum(stages[stage]["cpu_seconds"] for stage in both) for stages in (fewer, more)]
    hungriest = max(both, key=lambda stage: more[stage]["memory_mib"])
    texts = sum(cost["generated"] for cost in changed)
    found = (
        Figure(
            seconds[1] / seconds[0] / 10,
            "ratio of seconds",
            f"ten times the processor's time with 100,000 images; {of}",
        ),
        Figure(more[hungriest]["memory_mib"] / 1024, "GiB", f"3 GiB; the most, of {_named(hungriest)}; {of}"),
        Figure(
            sum(cost["seconds"] for cost in changed),
            "seconds",
            f"120 s; all stages up to the captions after a change of one graph; generated: {texts}",
        ),
    )
    return dict(zip(LONG, found, strict=True))


def write(rows: Rows, page: Path = PAGE, plot: Path = PLOT, results: Path = RESULTS) -> None:
    """Write the table, the plot and the figures; what else the page says stays."""
    page.write_text(with_table(page.read_text(encoding="utf-8"), rows), encoding="utf-8")
    plot.write_text(picture(rows), encoding="utf-8")
    record(figures(rows), LONG, results, next(iter(LONG.values())))
    if results == RESULTS:
        write_performance(read_results())


def with_table(text: str, rows: Rows) -> str:
    """The text of the page with the table of these rows."""
    before, rest = text.split(_BEGIN)
    after = rest.split(_END)[1]
    lines = "".join(f"{line}\n" for line in table(rows))
    return f"{before}{_BEGIN}\n{lines}\n{_END}{after}"


def _named(stage: str) -> str:
    return stage.removesuffix(f" {DATASET}").replace("pairs made", "pairs, which makes queries too")


def _cell(cost: Mapping[str, Any] | None) -> str:
    if cost is None:
        return ""
    count = cost["generated"]
    texts = f", {count:,} text{'s' * (count > 1)}" if count else ""
    return f"{shown(cost['cpu_seconds'])} s, {cost['memory_mib']:,} MiB{texts}"


def _ratios(fewer: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, float]:
    return {
        stage: cost["cpu_seconds"] / fewer[stage]["cpu_seconds"] / 10
        for stage in STAGES
        if stage in fewer and (cost := more.get(stage)) is not None
    }
