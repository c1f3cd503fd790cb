"""Line charts as numbers for an SVG: where lines, marks, ticks and labels stand."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH, HEIGHT = 460, 250
_LEFT, _TOP, _BOTTOM = 40, 12, 30
_LABEL_STEP = 14  # pixels between the labels of two lines
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points of one line; `label` stands at its end. Without `joined`, only its marks are drawn."""

    name: str
    points: Sequence[Point]
    look: str = "faint"
    label: bool = False
    joined: bool = True
    marked: bool = False


@dataclass(frozen=True)
class Line:
    """A series in pixels. `label_y` is None where no label stands."""

    name: str
    look: str
    dots: list[Point]
    joined: bool
    marked: bool
    label_y: float | None = None


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws, in pixels of `WIDTH` x `HEIGHT`; ticks are position and text."""

    title: str
    x_title: str
    right: float
    lines: list[Line]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    top: int = _TOP
    bottom: int = field(default=HEIGHT - _BOTTOM)


def chart(
    title: str,
    x_title: str,
    series: Sequence[Series],
    x_ticks: Sequence[float],
    logarithmic: bool = False,
    margin: int = 180,
) -> Chart | None:
    """Lay out a chart; None if no series has a point.

    Args:
        x_ticks: the first and the last of them are the ends of the axis.
        logarithmic: of the x axis.
        margin: pixels at the right for the labels of lines.
    """
    values = [y for each in series for _, y in each.points]
    if not values:
        return None
    steps = _steps(min(values), max(values))
    right, bottom = WIDTH - margin, HEIGHT - _BOTTOM
    scale = math.log if logarithmic else float
    first, last = scale(x_ticks[0]), scale(x_ticks[-1])

    def across(x: float) -> float:
        return round(_LEFT + (scale(x) - first) / ((last - first) or 1) * (right - _LEFT), 1)

    def down(y: float) -> float:
        return round(bottom - (y - steps[0]) / ((steps[-1] - steps[0]) or 1) * (bottom - _TOP), 1)

    dots = [[(across(x), down(y)) for x, y in each.points] for each in series]
    labels = _apart(
        [line[-1][1] if each.label and line else None for each, line in zip(series, dots, strict=True)]
    )
    digits = max(0, -math.floor(math.log10(steps[1] - steps[0]) + 1e-9)) if len(steps) > 1 else 0
    return Chart(
        title,
        x_title,
        right,
        [
            Line(each.name, each.look, line, each.joined, each.marked, label)
            for each, line, label in zip(series, dots, labels, strict=True)
            if line
        ],
        [(across(x), f"{x:g}") for x in x_ticks],
        [(down(y), f"{y:.{digits}f}") for y in steps],
    )


def _steps(low: float, high: float) -> list[float]:
    """Three to seven round numbers that reach from at most `low` to at least `high`."""
    span = (high - low) or abs(high) or 1.0
    unit = 10 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 5.5)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [round(step * number, 10) for number in range(first, last + 1)]


def _apart(wanted: Sequence[float | None]) -> list[float | None]:
    """Heights of labels, moved so that no two overlap and none stands below the chart."""
    # of equal lines, the last one is drawn above the others, so its label is the first
    order = sorted((i for i, y in enumerate(wanted) if y is not None), key=lambda i: (wanted[i] or 0, -i))
    placed: list[float | None] = [None] * len(wanted)
    lowest: float = HEIGHT - _BOTTOM
    room = lowest - _LABEL_STEP * (len(order) - 1)
    at = -math.inf
    for count, place in enumerate(order):
        at = min(max(wanted[place] or 0, at + _LABEL_STEP), room + _LABEL_STEP * count)
        placed[place] = round(at, 1)
    return placed
