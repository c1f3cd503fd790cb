"""Figures as an SVG: a bar for each, from 0, and a whisker from the least to the greatest turn.

Its colours follow the reader's: a light and a dark set, each with its own ground.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 860, 310, 90  # of the picture; beside the bars for names and for values
_ROW, _BAR, _TITLE, _AXIS, _EDGE = 26, 14, 34, 34, 12
_STYLE = """\
.ground{fill:#fff}.text{fill:#1f2328}.soft{fill:#59636e}.bar{fill:#4c8dd6}
.grid{stroke:#d1d9e0}.one{stroke:#1f2328;stroke-dasharray:3 3}.whisker{stroke:#1f2328;stroke-width:1.5}
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}.text{fill:#f0f6fc}.soft{fill:#9198a1}.bar{fill:#2f6db5}
.grid{stroke:#3d444d}.one{stroke:#f0f6fc}.whisker{stroke:#f0f6fc}}"""


@dataclass(frozen=True)
class Bar:
    """A figure; without `low` and `high` it has no whisker."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def svg(groups: Mapping[str, Sequence[Bar]]) -> str:
    """One picture of groups of bars; each group has its title, its own axis and a dashed line at 1."""
    parts, top = [], float(_EDGE)
    for title, bars in groups.items():
        if bars:
            parts += _group(title, bars, top)
            top += _TITLE + _ROW * len(bars) + _AXIS
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top:g}" '
        f'viewBox="0 0 {WIDTH} {top:g}" font-family="sans-serif" font-size="13">\n'
        f'<style>{_STYLE}</style>\n<rect class="ground" width="{WIDTH}" height="{top:g}"/>\n'
        + "".join(f"{part}\n" for part in parts)
        + "</svg>\n"
    )


def _group(title: str, bars: Sequence[Bar], top: float) -> list[str]:
    last = max(1.0, *(bar.value if bar.high is None else bar.high for bar in bars))
    step = _step(last)
    ticks = [step * number for number in range(math.ceil(last / step - 1e-9) + 1)]
    first, bottom = top + _TITLE, top + _TITLE + _ROW * len(bars)

    def across(value: float) -> float:
        return round(LEFT + value / ticks[-1] * (WIDTH - LEFT - RIGHT), 1)

    parts = [f'<text class="text" x="{_EDGE}" y="{top + 16:g}" font-weight="bold">{escape(title)}</text>']
    for tick in ticks:
        x = across(tick)
        parts.append(f'<path class="grid" d="M{x:g} {first:g}V{bottom:g}"/>')
        parts.append(
            f'<text class="soft" x="{x:g}" y="{bottom + 16:g}" text-anchor="middle">{round(tick, 6):g}</text>'
        )
    for number, bar in enumerate(bars):
        parts += _bar(bar, first + _ROW * number, across)
    parts.append(f'<path class="one" d="M{across(1):g} {first:g}V{bottom:g}"/>')
    return parts


def _bar(bar: Bar, top: float, across: Callable[[float], float]) -> list[str]:
    middle = top + _ROW / 2
    parts = [
        f'<text class="text" x="{LEFT - 8}" y="{middle + 4.5:g}" text-anchor="end" font-family="monospace" '
        f'font-size="12">{escape(bar.name)}</text>',
        f'<rect class="bar" x="{LEFT}" y="{middle - _BAR / 2:g}" width="{across(bar.value) - LEFT:g}" '
        f'height="{_BAR}"/>',
    ]
    end = bar.value
    if bar.low is not None and bar.high is not None:
        low, high, end = across(bar.low), across(bar.high), max(bar.high, bar.value)
        cap = f"{middle - 4:g}V{middle + 4:g}"
        parts.append(f'<path class="whisker" d="M{low:g} {middle:g}H{high:g}M{low:g} {cap}M{high:g} {cap}"/>')
    parts.append(f'<text class="text" x="{across(end) + 8:g}" y="{middle + 4.5:g}">{shown(bar.value)}</text>')
    return parts


def shown(value: float) -> str:
    """A number with three digits that count, never with an exponent."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:,.{digits}f}"


def _step(last: float) -> float:
    """A round number that divides the axis into at most five parts."""
    unit = 10.0 ** math.floor(math.log10(last / 4))
    return next(unit * factor for factor in (1, 2, 5, 10) if last / (unit * factor) <= 5 + 1e-9)
