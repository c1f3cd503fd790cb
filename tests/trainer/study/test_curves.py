"""Points, places and lines of the curves, from a few figures."""

from xml.etree import ElementTree

import polars as pl
import pytest

from trainer.study.columns import KEY, SCHEMA
from trainer.study.curves import to_svg
from trainer.study.figures import AS_WRITTEN
from trainer.study.plan import BY_RULE, LEARNING, QUALITY
from trainer.study.summary import ALL_QUERIES
from trainer.study.tidy import UNTUNED

SVG = "{http://www.w3.org/2000/svg}"


def figures(*rows: tuple[str, str, str, float], datasets: tuple[str, ...] = ("d",)) -> pl.DataFrame:
    """From table, method, variant and value."""
    of = [{"table": "methods", "dataset": dataset, "method": "hybrid"} for dataset in datasets]
    names = ("table", "method", "variant", "value")
    of += [{**dict(zip(names, row, strict=True)), "dataset": "d", "measure": "R@1"} for row in rows]
    return pl.DataFrame(of, SCHEMA).with_columns(pl.col(KEY).fill_null(""))


def drawn(of: pl.DataFrame) -> tuple[list[str], list[list[tuple[float, float]]]]:
    """The words of the picture, and the points of each line."""
    svg = to_svg(of)
    assert svg
    root = ElementTree.fromstring(svg)
    lines = [element.attrib["points"].split() for element in root.iter(f"{SVG}polyline")]
    points = [[(float(point.split(",")[0]), float(point.split(",")[1])) for point in line] for line in lines]
    return [element.text or "" for element in root.iter(f"{SVG}text")], points


def test_a_line_for_each_method_with_its_points_over_the_same_places() -> None:
    fewest = next(iter(LEARNING))
    words, (hybrid, mix) = drawn(
        figures(
            ("learning", "hybrid", UNTUNED, 10),
            ("learning", "hybrid", fewest, 20),
            ("learning", "hybrid", ALL_QUERIES, 40),
            ("learning", "linear_mix", fewest, 40),
            ("learning", "linear_mix", ALL_QUERIES, 20),
        )
    )
    assert [x for x, _ in mix] == [x for x, _ in hybrid][1:]  # there is no untrained network
    ten, twenty, forty = (y for _, y in hybrid)
    assert ten - twenty == pytest.approx((twenty - forty) / 2, abs=0.2)
    assert [y for _, y in mix] == [forty, twenty]
    assert {"d", "hybrid", "linear_mix", "0", "50", "all"} <= set(words) and "800" not in words


def test_facts_are_shown_of_the_methods_of_curves_alone_and_faults_begin_at_right_texts() -> None:
    faults = [("quality", "hybrid", name, 30.0 + place) for place, name in enumerate(QUALITY)]
    words, lines = drawn(
        figures(
            *(("facts", method, number, 5) for method in ("tirg", "hybrid") for number in ("1", "2")),
            ("quality", "hybrid", AS_WRITTEN, 1),
            *faults,
        )
    )
    of_facts, left_out, wrong = lines
    assert len(of_facts) == 2 and "tirg" not in words
    assert left_out[0] == wrong[0] and len(left_out) == len(wrong) == 1 + (len(QUALITY) - 1) // 2
    assert next(iter(QUALITY)) == BY_RULE and {"0%", "5%", "50%"} <= set(words)


def test_a_single_place_is_no_curve() -> None:
    assert to_svg(figures(("facts", "hybrid", "1", 5))) is None
    words, lines = drawn(
        figures(("facts", "hybrid", "1", 0), ("facts", "hybrid", "2", 0), datasets=("c", "d"))
    )
    assert "c" not in words and len(lines) == 1
