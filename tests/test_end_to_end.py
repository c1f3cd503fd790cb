"""`dvc repro` from nothing to the report: the embedded models, real vLLM, open_clip and DVC, a small world.

The tests of this file share one project and build on each other in order.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.project import Project

pytestmark = pytest.mark.slow

DATASETS = ("airplane", "tennis", "mixed")
METHODS = {
    "chance", "image_only", "text_only", "image_plus_text", "weicom", "tirg", "combiner",
    "image_plus_pseudo_caption", "combiner_pseudo_caption", "triplet", "language", "pseudo_caption",
    "hybrid_untuned", "hybrid",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, programs_with_vllm: Path) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("project"), programs=programs_with_vllm)
    for dataset in DATASETS:
        project.set(f"worlds/{dataset}/world.yaml", families={"train": 1, "val": 1, "test": 1})
    project.set(tune__epochs=1, comparators__epochs=2)
    project.commit("Small")
    yield project


def _metrics(project: Project, name: str) -> dict:
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())


def _table(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.folder / "data" / f"{name}.parquet")


def test_one_command_makes_everything(project: Project) -> None:
    ran = project.repro()
    matrix = [f"{stage}@{dataset}" for stage in ("tune", "evaluate") for dataset in DATASETS]
    assert sorted(ran) == sorted(["corpus", "pairs", "interpret", "caption", "embed", "report", *matrix])
    project.commit("First run")


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_input_row_has_its_output_row(project: Project, dataset: str) -> None:
    images = _table(project, f"corpus/{dataset}/images")
    graphs = _table(project, f"corpus/{dataset}/scene_graphs")
    queries = _table(project, f"corpus/{dataset}/queries")
    assert images.height == 96 and queries.height == 90
    assert _table(project, f"interpretations/{dataset}")["image_id"].to_list() == graphs["image_id"].to_list()
    assert (
        _table(project, f"pseudo_captions/{dataset}")["query_id"].to_list() == queries["query_id"].to_list()
    )
    assert _table(project, f"features/{dataset}/ids")["image_id"].to_list() == images["image_id"].to_list()
    rankings = _table(project, f"rankings/{dataset}")
    assert rankings.height == len(METHODS) * queries.filter(pl.col("split") == "test").height
    assert _table(project, "corpus/rejects").height == 0


@pytest.mark.parametrize("dataset", DATASETS)
def test_metrics_follow_from_the_rankings(project: Project, dataset: str) -> None:
    metrics = _metrics(project, f"evaluate/{dataset}")
    assert set(metrics) == METHODS
    for method, rows in _table(project, f"rankings/{dataset}").group_by("method"):
        figures = metrics[method[0]]
        for cut in (1, 5, 10, 50):
            assert figures[f"R@{cut}"] == pytest.approx(100 * (rows["rank"] <= cut).mean(), abs=1e-4)
        assert figures["mAP"] == pytest.approx(100 * rows["average_precision"].mean(), abs=1e-4)


def test_the_captions_come_from_the_language_model_and_are_good(project: Project) -> None:
    for stage in ("interpret", "caption"):
        figures = _metrics(project, stage)["all"]
        assert figures["ok"] == figures["rows"] > 0
        assert figures["fallback_rate"] == 0
        assert figures["model"]["fact_recall"] > 0.9


def test_the_report_asks_no_other_host(project: Project) -> None:
    page = (project.folder / "report/index.html").read_text()
    assert not re.search(r"""(?:src|href|url)\s*[=(]\s*["']?(?:https?:)?//""", page)
    assert len(list((project.folder / "report/pictures").glob("*.jpg"))) >= 30
    assert "hybrid_untuned" in page


@pytest.mark.alone
def test_a_second_run_starts_no_stage_and_is_quick(project: Project) -> None:
    of_a_person = Project.at(project.folder)  # with programs that must be imported
    started = time.monotonic()
    assert of_a_person.repro() == []
    assert time.monotonic() - started < 6  # 3 s on an idle machine


def test_a_fixed_weight_reruns_tuning_and_what_follows_and_the_difference_shows(project: Project) -> None:
    project.set(
        method__choose="fixed", method__weights={"triplet": 1.0, "language": 0.0, "pseudo_caption": 0.0}
    )
    ran = project.repro()
    assert {name.split("@")[0] for name in ran} == {"tune", "evaluate", "report"}
    difference = json.loads(project.dvc("metrics", "diff", "--json"))
    changed = set(difference.get("diff", difference))
    stages = ("tune", "evaluate")
    assert changed and changed <= {f"metrics/summary/{s}/{d}.json" for s in stages for d in DATASETS}
    project.commit("Triplet similarity alone")


def test_editing_one_dataset_retunes_that_one_alone(project: Project) -> None:
    project.set("worlds/tennis/world.yaml", seed=77)
    before = (project.folder / "data/corpus/airplane/queries.parquet").read_bytes()
    ran = project.repro()
    assert {name for name in ran if "@" in name} == {"tune@tennis", "evaluate@tennis"}
    assert (project.folder / "data/corpus/airplane/queries.parquet").read_bytes() == before
    project.commit("Another tennis world")


def test_a_changed_prompt_reruns_its_stage_and_leaves_the_other(project: Project) -> None:
    interpretations = (project.folder / "data/interpretations/mixed.parquet").read_bytes()
    prompt = project.folder / "prompts/caption.txt"
    prompt.write_text(prompt.read_text().replace("Write the caption", "Write one caption"))
    ran = project.repro()
    assert "caption" in ran and "interpret" not in ran and "embed" not in ran
    assert (project.folder / "data/interpretations/mixed.parquet").read_bytes() == interpretations
    project.commit("Another prompt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tune__epochs": -1}, ["params.yaml", "tune.epochs", "-1"]),
        ({"tune__epoch": 3}, ["params.yaml", "tune.epoch", "unknown"]),
        (
            {"method__weights": {"triplet": 1, "language": 1, "pseudo_caption": 0}},
            ["method.weights", "sum to 1"],
        ),
        ({"vlm__pretrained": "RemoteCLIP.pt"}, ["vlm.pretrained", ".safetensors"]),
        ({"corpus__root": "nowhere"}, ["nowhere"]),
    ],
)
def test_a_bad_parameter_is_one_line(project: Project, change: dict, words: list[str]) -> None:
    original = (project.folder / "params.yaml").read_text()
    try:
        project.set(**change)
        done = project.run("lempo", "corpus", check=False)
    finally:
        (project.folder / "params.yaml").write_text(original)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr and all(word in done.stderr for word in words)
