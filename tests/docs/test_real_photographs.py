"""The page of real photographs gives the figures that the runs gave."""

import re

import polars as pl

from tests.project import ROOT

PAGE, FIGURES = ROOT / "docs/real-photographs.md", ROOT / "docs/real-photographs/evaluate.csv"
COLUMNS = ("R@1", "R@10", "mean_recall")


def test_the_table_of_methods_is_that_of_the_file() -> None:
    figures = pl.read_csv(FIGURES)
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = {method: [float(cell.strip("* ")) for cell in cells.split("|")] for method, cells in rows}
    assert list(shown) and set(shown) == set(figures["method"])
    for method, cells in shown.items():
        said = [
            round(
                figures.row(
                    by_predicate=(pl.col("dataset") == dataset) & (pl.col("method") == method), named=True
                )[column],
                1,
            )
            for dataset in ("airports", "ucm")
            for column in COLUMNS
        ]
        assert cells == said, method


def test_the_best_of_each_column_is_bold() -> None:
    rows = [line.split("|")[2:-1] for line in PAGE.read_text().splitlines() if re.match(r"\| `\w+` \|", line)]
    for column in zip(*rows, strict=True):
        values = [float(cell.strip("* ")) for cell in column]
        bold = [value for value, cell in zip(values, column, strict=True) if "**" in cell]
        assert not bold or bold == [max(values)]
