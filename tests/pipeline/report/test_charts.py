"""Charts: what stands where."""

import itertools

import pytest

from pipeline.report.charts import HEIGHT, Series, chart


def test_lines_ticks_and_marks_stand_where_their_values_are() -> None:
    made = chart(
        "t", "K", [Series("a", [(1, 0.0), (10, 50.0), (100, 100.0)])], (1, 10, 100), logarithmic=True
    )
    assert made is not None
    (line,) = made.lines
    assert line.dots == [
        (made.left, made.bottom),
        (pytest.approx((made.left + made.right) / 2), pytest.approx((made.top + made.bottom) / 2)),
        (made.right, made.top),
    ]
    assert [text for _, text in made.x_ticks] == ["1", "10", "100"]
    assert [text for _, text in made.y_ticks] == ["0", "20", "40", "60", "80", "100"]


@pytest.mark.parametrize(
    ("low", "high"), [(0.1993, 0.4795), (94.2, 97.9), (3.0, 3.0), (0.0, 0.0), (-2.0, 7.0)]
)
def test_the_axis_reaches_from_the_lowest_to_the_highest_value(low: float, high: float) -> None:
    made = chart("t", "epoch", [Series("a", [(0, low), (8, high)])], (0, 8))
    assert made is not None and len(made.y_ticks) in range(2, 8)
    ticks = [float(text) for _, text in made.y_ticks]
    assert ticks == sorted(set(ticks)) and ticks[0] <= low and ticks[-1] >= high
    assert all(made.top <= y <= made.bottom for _, y in made.lines[0].dots)


def test_labels_do_not_lie_on_each_other() -> None:
    series = [Series(str(i), [(1, 1.0), (2, 100 - i / 10)], label=True) for i in range(6)]
    made = chart("t", "x", [*series, Series("low", [(2, 0.0)], label=True)], (1, 2))
    assert made is not None
    heights = sorted(line.label_y for line in made.lines if line.label_y is not None)
    assert len(heights) == 7 and heights[-1] <= HEIGHT
    assert all(below - above >= 13.9 for above, below in itertools.pairwise(heights))


def test_without_a_point_there_is_no_chart() -> None:
    assert chart("t", "x", [Series("a", [])], (1, 2)) is None
