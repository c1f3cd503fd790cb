"""Lines and columns of the pages, from a few figures."""

import polars as pl

from trainer.study.columns import KEY, SCHEMA
from trainer.study.pages import to_latex, to_markdown


def figures(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(rows, SCHEMA).with_columns(pl.col(KEY).fill_null(""))


def kind(method: str, variant: str, value: float) -> dict[str, object]:
    row = {"table": "kinds", "dataset": "d", "measure": "R@1"}
    return {**row, "method": method, "variant": variant, "value": value}


def table(page: str) -> list[list[str]]:
    lines = (line for line in page.splitlines() if line.startswith("|") and not line.startswith("|:"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_lines_and_columns_have_the_order_of_the_figures_and_a_cell_may_be_empty() -> None:
    of = figures(kind("z", "remove", 12.34), kind("a", "remove", 0), kind("a", "add", 100))
    assert table(to_markdown(of)) == [
        ["dataset", "method", "remove", "add"],
        ["d", "z", "12.3", ""],
        ["d", "a", "0.0", "100.0"],
    ]
    assert to_latex(of).count(r"\\") == 3


def test_a_kind_may_be_named_as_a_column_is() -> None:
    of = figures(kind("z", "method", 1), kind("z", "header", 2), kind("z", "cell", 3))
    header, line = table(to_markdown(of))
    assert header == ["dataset", "method", "method", "header", "cell"]
    assert line == ["d", "z", "1.0", "2.0", "3.0"]


def test_numbers_are_those_that_python_prints() -> None:
    values = {"b": 0.25, "c": 47.55, "d": 2.675, "e": 1e-9}  # ties, and what is a tie in decimals alone
    of = figures(*(kind("z", name, value) for name, value in values.items()))
    assert table(to_markdown(of))[1][2:] == [f"{value:.1f}" for value in values.values()]


def test_the_deviation_is_shown_where_there_is_one() -> None:
    row = {"table": "methods", "dataset": "d", "text_tower": "tuned", "measure": "R@1", "value": 80.0}
    row |= {"low": 77.04, "high": 83.06}
    of = figures({**row, "method": "a", "seeds": 2, "deviation": 1.25}, {**row, "method": "b", "seeds": 1})
    assert table(to_markdown(of)) == [
        ["method", "text tower", "seeds", "R@1", "R@1, 95%"],
        ["a", "tuned", "2", "80.0 ± 1.2", "77.0 to 83.1"],
        ["b", "tuned", "1", "80.0", "77.0 to 83.1"],
    ]
