"""Figures of a study as curves: one SVG, a row for each dataset, in colours for light and for dark pages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import polars as pl

from trainer.study.plan import BY_RULE, CURVES, LEARNING, QUALITY, TEXTS, TRAIN_QUERIES
from trainer.study.summary import ALL_QUERIES
from trainer.study.tidy import UNTUNED

_WIDTH, _HEIGHT, _LEFT, _TOP, _LINE = (
    280,
    190,
    34,
    58,
    17,
)  # of a panel's frame and margins, and of its legend
_STYLE = """\
text{fill:#1f2328}.soft{fill:#59636e}.ground{fill:#fff}.grid{stroke:#d1d9e0}
.c0{--c:#0969da}.c1{--c:#bc4c00}.c2{--c:#1a7f37}.c3{--c:#8250df}.c4{--c:#bf3989}
polyline{fill:none;stroke:var(--c);stroke-width:2}circle,rect.mark{fill:var(--c)}
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.soft{fill:#9198a1}.ground{fill:#0d1117}.grid{stroke:#3d444d}
.c0{--c:#58a6ff}.c1{--c:#f0883e}.c2{--c:#56d364}.c3{--c:#bc8cff}.c4{--c:#f778ba}}"""


@dataclass(frozen=True)
class Panel:
    """Lines over the same places.

    Attributes:
        places: what stands under each place, from left to right.
        lines: name -> a percentage for each place, None where there is none; at most five.
    """

    title: str
    places: Sequence[str]
    lines: Mapping[str, Sequence[float | None]]


def to_svg(figures: pl.DataFrame) -> str | None:
    """R@1 by training queries, by changed facts and by faults of the texts; None without such figures.

    Args:
        figures: of `study_figures`.
    """
    datasets = figures.filter(table="methods")["dataset"].unique(maintain_order=True)
    rows = [(dataset, row) for dataset in datasets if (row := list(_panels(figures, dataset)))]
    if not rows:
        return None
    parts, top = [], 0
    for dataset, row in rows:
        parts.append(f'<text x="{_LEFT}" y="{top + 20}" font-size="15">{escape(dataset)}</text>')
        parts += [_drawn(panel, number * (_LEFT + _WIDTH), top) for number, panel in enumerate(row)]
        top += _TOP + _HEIGHT + 34 + _LINE * max(len(panel.lines) for panel in row)
    width = max(len(row) for _, row in rows) * (_LEFT + _WIDTH) + _LEFT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" '
        f'font-family="sans-serif" font-size="12">\n<style>{_STYLE}</style>\n'
        f'<rect class="ground" width="{width}" height="{top}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


_QUERIES = {
    UNTUNED: "0",
    **{name: str(dict(options)[TRAIN_QUERIES]) for name, options in LEARNING.items()},
    ALL_QUERIES: "all",
}  # variant -> its place
_SHARES = {name: f"{dict(options)[TEXTS][1]:.0%}" for name, options in QUALITY.items()}
_FAULTS = dict.fromkeys(dict(options)[TEXTS][0] for options in QUALITY.values())
Rows = Iterable[tuple[str, str, float]]  # line, place, percentage


def _panels(figures: pl.DataFrame, dataset: str) -> Iterator[Panel]:
    """The panels of one dataset that have at least two places."""

    def rows(table: str) -> Iterator[tuple[str, str, float]]:
        own = figures.filter(table=table, dataset=dataset, measure="R@1")
        yield from own.select("method", "variant", "value").iter_rows()

    learning = [(method, _QUERIES[name], value) for method, name, value in rows("learning")]
    facts = sorted((row for row in rows("facts") if row[0] in CURVES), key=lambda row: CURVES.index(row[0]))
    spoilt = [
        (f"facts {fault}", _SHARES[name], value)
        for fault in _FAULTS
        for _, name, value in rows("quality")
        if name == BY_RULE or name.endswith(fault)
    ]
    panels = (
        _panel("R@1 by training queries", learning, [*_QUERIES.values()]),
        _panel("R@1 by changed facts", facts, sorted({place for _, place, _ in facts})),
        _panel("R@1 of the hybrid by spoilt facts", spoilt, [*dict.fromkeys(_SHARES.values())]),
    )
    yield from (panel for panel in panels if len(panel.places) > 1)


def _panel(title: str, rows: Rows, places: Sequence[str]) -> Panel:
    known = {(line, place): value for line, place, value in rows}
    shown = [place for place in places if place in {place for _, place in known}]
    lines = dict.fromkeys(line for line, _ in known)
    return Panel(title, shown, {line: [known.get((line, place)) for place in shown] for line in lines})


def _drawn(panel: Panel, left: int, top: int) -> str:
    known = [value for line in panel.lines.values() for value in line if value is not None]
    step = next((step for step in (1, 2, 5, 10) if max(known) <= 5 * step), 20)
    last = step * -(-max(max(known), step) // step)
    first, bottom = left + _LEFT, top + _TOP + _HEIGHT

    def x(place: int) -> float:
        return round(first + 14 + place * (_WIDTH - 44) / (len(panel.places) - 1), 1)

    def y(value: float) -> float:
        return round(bottom - value / last * _HEIGHT, 1)

    parts = [f'<text x="{first}" y="{top + 44}" font-weight="bold">{escape(panel.title)}</text>']
    for tick in range(0, int(last) + 1, step):
        parts.append(f'<path class="grid" d="M{first} {y(tick):g}h{_WIDTH - 16}"/>')
        parts.append(
            f'<text class="soft" x="{first - 6}" y="{y(tick) + 4:g}" text-anchor="end">{tick}</text>'
        )
    for number, place in enumerate(panel.places):
        at = f'x="{x(number):g}" y="{bottom + 18}"'
        parts.append(f'<text class="soft" {at} text-anchor="middle">{escape(place)}</text>')
    for number, (name, line) in enumerate(panel.lines.items()):
        points = [(x(place), y(value)) for place, value in enumerate(line) if value is not None]
        parts.append(
            f'<g class="c{number}"><polyline points="{" ".join(f"{a:g},{b:g}" for a, b in points)}"/>'
        )
        parts += [f'<circle cx="{a:g}" cy="{b:g}" r="3"/>' for a, b in points]
        below = bottom + 34 + _LINE * number
        parts.append(f'<rect class="mark" x="{first}" y="{below - 6}" width="14" height="3"/></g>')
        parts.append(f'<text x="{first + 20}" y="{below}">{escape(name)}</text>')
    return "\n".join(parts)
