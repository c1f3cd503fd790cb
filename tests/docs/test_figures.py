"""Tables of the pages give the figures of the files that hold them."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.project import ROOT

README, PAGE = ROOT / "README.md", ROOT / "docs/real-photographs.md"
FIGURES = ROOT / "docs/real-photographs"


def _table(section: str, page: Path = PAGE, part: str = "") -> dict[str, list[str]]:
    """The cells of the table of a section, or of a part of it with its own heading, by method."""
    text = page.read_text(encoding="utf-8").split(f"\n## {section}")[1].split("\n## ")[0]
    text = text.split(f"\n### {part}")[1 if part else 0].split("\n### ")[0]
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


STUDIES = {"airports": FIGURES / "airports", "ucm": FIGURES / "ucm"}
WORLDS = {dataset: ROOT / "docs/drawn-worlds" for dataset in ("airplane", "tennis", "mixed")}
SECTIONS = {
    "Airports, with an encoder tuned for each method": "airports",
    "UC Merced, with an encoder tuned for each method": "ucm",
}
GROUPS = {
    "the best method without LLM text": "best without LLM text",
    "the best that reads the graph itself": "best with the graph itself",
    "the best with the same LLM text": "best with the same LLM text",
    "itself, untuned": "hybrid, untuned",
}


def _rows(folder: Path, table: str) -> list[dict[str, Any]]:
    figures = pl.read_csv(folder / "results.csv", infer_schema_length=None)
    return figures.filter(table=table).to_dicts()


def _lead(row: dict[str, Any]) -> str:
    p = "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.3f}"
    return f"{row['value']:+.1f} ({p})"


@pytest.mark.parametrize("section", SECTIONS)
def test_the_figures_of_five_seeds_are_those_of_the_study(section: str) -> None:
    shown, folder = _table(section), STUDIES[SECTIONS[section]]
    methods, leads = (
        {(row["method"], row["measure"]): row for row in _rows(folder, table)}
        for table in ("methods", "leads")
    )
    assert set(shown) == {method for method, _ in methods} - {"chance"}
    for method, (_, tower, *cells, ahead) in shown.items():
        rows = [methods[method, measure] for measure in ("R@1", "R@10", "mean_recall")]
        assert tower == rows[0]["text_tower"], method
        assert cells == [_with_deviation(row["value"], row["deviation"]) for row in rows], method
        if lead := leads.get((method, "R@1")):
            assert ahead == _lead(lead), method


@pytest.mark.parametrize("page", [README, ROOT / "docs/results.md", PAGE], ids=lambda page: page.name)
def test_the_claim_is_what_the_studies_say(page: Path) -> None:
    studies, measures = (STUDIES, ("R@1", "mean_recall")) if page is PAGE else (STUDIES | WORLDS, ("R@1",))
    claims = {
        (dataset, row["measure"], row["variant"]): _lead(row)
        for dataset, folder in studies.items()
        for row in _rows(folder, "claim")
        if row["dataset"] == dataset
    }
    wanted = [
        [said, *(claims[dataset, measure, group] for dataset in studies for measure in measures)]
        for said, group in GROUPS.items()
    ]
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [f"| {' | '.join(row)} |" for row in wanted if f"| {' | '.join(row)} |" not in lines] == []


def test_the_leads_by_training_queries_are_those_of_the_study() -> None:
    shown = _table("Airports, with an encoder tuned for each method", part="Where turning graphs")
    leads = {
        (row["method"], row["variant"]): _lead(row)
        for row in _rows(STUDIES["airports"], "learning leads")
        if row["measure"] == "R@1"
    }
    numbers = list(dict.fromkeys(variant for _, variant in leads))
    methods = list(dict.fromkeys(method for method, _ in leads))
    assert shown == {method: [leads[method, number] for number in numbers] for method in methods}


def _with_deviation(value: float, deviation: float | None) -> str:
    return f"{value:.1f}" if deviation is None else f"{value:.1f} ± {deviation:.1f}"
