"""Tables of the pages give the figures of the files that hold them."""

import json
import re
from pathlib import Path

import polars as pl

from tests.project import ROOT

README, PAGE = ROOT / "README.md", ROOT / "docs/real-photographs.md"
FIGURES = ROOT / "docs/real-photographs"


def _table(section: str, page: Path = PAGE) -> dict[str, list[str]]:
    """The cells of a section's table, by method."""
    text = page.read_text(encoding="utf-8").split(f"\n## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)
    return {method: [cell.strip(" *") for cell in cells.split("|")] for method, cells in rows}


def test_the_methods_of_the_readme_have_the_figures_of_the_last_committed_run() -> None:
    files = [ROOT / f"metrics/evaluate/{dataset}.json" for dataset in ("airplane", "tennis", "mixed")]
    figures = [json.loads(file.read_text()) for file in files]
    assert _table("What the embedded models are worth", README) == {
        method: [f"{of[method][name]:.1f}" for name in ("R@1", "mean_recall") for of in figures]
        for method in figures[0]
    }


def test_the_figures_of_the_runs_are_those_of_the_file() -> None:
    figures = pl.read_csv(FIGURES / "evaluate.csv")
    wide = figures.pivot("dataset", index="method", values=["R@1", "R@10", "mean_recall"])
    names = [
        f"{measure}_{dataset}"
        for dataset in ("airports", "ucm")
        for measure in ("R@1", "R@10", "mean_recall")
    ]
    rows = {row["method"]: [f"{row[name]:.1f}" for name in names] for row in wide.iter_rows(named=True)}
    assert _table("Every method of a run") == rows


def test_the_figures_of_tuned_comparators_are_those_of_the_file() -> None:
    shown = _table("Airports, with an encoder tuned for each method")
    rows = {
        row["method"]: row for row in pl.read_csv(FIGURES / "airports-first-seed.csv").iter_rows(named=True)
    }
    assert set(shown) == set(rows) - {"chance"}
    for method, (_, *cells) in shown.items():
        row = rows[method]
        measures = ("validation_mean_recall", "R@1", "R@10", "mean_recall")
        assert cells == [row["text_tower"], *(f"{row[name]:.1f}" for name in measures)], method


def test_the_figures_of_five_seeds_are_those_of_the_study() -> None:
    shown = _table("UC Merced, with an encoder tuned for each method")
    figures = pl.read_csv(FIGURES / "ucm/results.csv", infer_schema_length=None)
    methods, leads = (
        {(row["method"], row["measure"]): row for row in figures.filter(table=table).iter_rows(named=True)}
        for table in ("methods", "leads")
    )
    assert set(shown) == {method for method, _ in methods} - {"chance"}
    for method, (_, tower, *cells, ahead) in shown.items():
        rows = [methods[method, measure] for measure in ("R@1", "R@10", "mean_recall")]
        assert tower == rows[0]["text_tower"], method
        assert cells == [_with_deviation(row["value"], row["deviation"]) for row in rows], method
        if lead := leads.get((method, "R@1")):
            p = "p < 0.001" if lead["p"] < 0.001 else f"p = {lead['p']:.3f}"
            assert ahead == f"{lead['value']:+.1f} ({p})", method


def _with_deviation(value: float, deviation: float | None) -> str:
    return f"{value:.1f}" if deviation is None else f"{value:.1f} ± {deviation:.1f}"
