"""`dvc plots show` in real Chromium without a network, on the curves of the last committed run."""

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Listener, browser, needs_chromium
from tests.project import Project

ROOT = Path(__file__).parents[1]
CURVES = sorted((ROOT / "plots").glob("*/*.csv"))
SCALES = """async (spec) => {
    const view = await new vega.View(vega.parse(vegaLite.compile(spec).spec), {renderer: 'none'}).runAsync();
    return view.scale('concat_0_y').domain();
}"""


def test_there_are_curves_of_every_kind() -> None:
    assert {path.parent.name for path in CURVES} == {"tune", "evaluate"}


@pytest.mark.parametrize("path", CURVES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_template_draws_columns_that_the_curves_have(path: Path) -> None:
    with open(path) as file:
        columns = csv.DictReader(file).fieldnames
    template = json.loads((ROOT / f".dvc/plots/{path.parent.name}.json").read_text())
    parsed = set(template["data"]["format"]["parse"])
    folded = {
        name for fold in re.findall(r'"fold": (\[[^]]*\])', json.dumps(template)) for name in json.loads(fold)
    }
    assert folded < parsed <= set(columns or ())


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a project that has these curves."""
    project = Project(tmp_path_factory.mktemp("plots") / "project")
    shutil.copytree(ROOT / "plots", project.folder / "plots")
    project.set(datasets=sorted({path.stem for path in CURVES}))
    project.commit("The curves")
    project.dvc("plots", "show")
    assert project.git("status", "--short") == ""  # the page is no file of the project
    return project.folder / "dvc_plots/index.html"


def test_every_curve_is_titled_with_its_dataset(page: Path) -> None:
    text = page.read_text()
    for path in CURVES:
        assert re.search(rf'"text": "[^"]* {re.escape(path.stem)}"', text)
    assert len(_specs(text)) == len(CURVES)


@needs_chromium
def test_the_curves_are_drawn_without_a_network(page: Path) -> None:
    with browser() as opened:
        shown = opened.new_context(offline=True).new_page()
        listener = Listener(shown)
        shown.goto(page.as_uri())
        for number in range(len(CURVES)):
            shown.locator("canvas").nth(number).wait_for()
        assert shown.locator("canvas").count() == len(CURVES)
        assert listener.said == [] and listener.asked == {""}  # the file alone


@needs_chromium
def test_the_loss_has_no_zero_at_epoch_0(page: Path) -> None:
    tuning = [spec for spec in _specs(page.read_text()) if "hconcat" in spec]
    assert tuning and all(spec["data"]["values"][0]["train_loss"] == "" for spec in tuning)
    with browser() as opened:
        shown = opened.new_context(offline=True).new_page()
        shown.goto(page.as_uri())
        for spec in tuning:
            losses = [float(row["train_loss"]) for row in spec["data"]["values"][1:]]
            least, most = shown.evaluate(SCALES, spec)
            assert 0 < least <= min(losses) and max(losses) <= most < 2 * max(losses)


def _specs(text: str) -> list[dict[str, Any]]:
    """What the page draws, as Vega-Lite specifications."""
    return [json.loads(spec) for spec in re.findall(r"^\s*var spec = (.*);$", text, re.MULTILINE)]
