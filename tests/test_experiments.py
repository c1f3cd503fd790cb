"""What docs/experiments.md promises of DVC, in a project whose language model is no longer there.

The tests of this file share one project and build on each other in order.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project
from tests.soak._pipeline import tiny_project, writer

pytestmark = pytest.mark.slow

CLEAN = "Data and pipelines are up to date."


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Project]:
    with writer() as url:
        project = tiny_project(tmp_path_factory.mktemp("experiments") / "project", url, programs)
        project.repro()
    project.commit("First run")
    yield project


def test_status_is_clean_after_a_run_and_after_a_pull(project: Project, tmp_path: Path) -> None:
    assert project.dvc("status").strip() == CLEAN
    project.dvc("remote", "add", "-d", "store", str(tmp_path / "store"))
    project.commit("Remote")
    project.dvc("push")
    clone = Project.at(tmp_path / "clone")
    project.git("clone", "-q", str(project.folder), str(clone.folder))
    clone.dvc("pull", "-q")
    assert clone.dvc("status").strip() == CLEAN
    for name in ("data/rankings/parks.parquet", "data/corpus/parks/images.parquet", "report/index.html"):
        assert (clone.folder / name).read_bytes() == (project.folder / name).read_bytes()


def test_the_trainings_are_there_for_those_who_ask(project: Project) -> None:
    command = ("dvc", "repro", "--dry", "--single-item", "embedded/dvc.yaml:train_captioner")
    refused = project.run(*command, check=False)
    assert refused.returncode and "embedded/dvc.yaml" in refused.stderr and "ignored" in refused.stderr
    asked = project.folder / "embedded/.dvcignore"
    asked.write_text("!/dvc.yaml\n")
    assert "python -m embedded.captioner.train" in project.run(*command).stdout
    assert project.git("status", "--short") == ""
    asked.unlink()


def test_a_queued_experiment_finds_every_text_and_feature(project: Project) -> None:
    caches = [project.paths.cache / name for name in ("llm", "features")]
    before = [sorted(folder.rglob("*")) for folder in caches]
    assert all(before)
    change = ("-S", "caption.max_tokens=200", "-S", "tune.temperature=0.02")
    project.dvc("exp", "run", "--queue", "--force", "-n", "warm", *change, "evaluate@parks")
    project.dvc("exp", "run", "--run-all")
    said = project.dvc("queue", "logs", "warm")
    assert re.search(
        r"^interpret: 9 rows in .* s; 0 generated; 0 from the cache, 9 rows as before; ", said, re.M
    )
    assert re.search(r"^caption: 9 rows in .* s; 0 generated; [1-9]\d* from the cache; 0 failed", said, re.M)
    assert "embed: 0 images embedded (none), 9 from the cache" in said
    assert [sorted(folder.rglob("*")) for folder in caches] == before
    assert "Success" in project.dvc("queue", "status")
    assert project.git("status", "--short") == ""  # the workspace stays as it is


def test_what_people_compare_fits_a_screen(project: Project) -> None:
    shown = project.dvc("metrics", "diff", "--all", "HEAD", "warm").splitlines()
    assert 5 < len(shown) <= 10 and max(map(len, shown)) <= 100
    figures = {line.split()[1] for line in shown[1:]}
    assert figures >= {"parks.R@1", "parks.mean_recall", "parks.val_mean_recall", "pairs.queries"}
    details = project.dvc(
        "metrics", "diff", "--all", "HEAD", "warm", "--targets", "metrics/evaluate/parks.json"
    )
    assert "hybrid_untuned.mAP" in details
    table = project.dvc("exp", "show", "--only-changed", "--drop", ".*/|Created", "--csv")
    rows = {row["Experiment"]: row for row in csv.DictReader(table.splitlines())}
    assert float(rows["warm"]["tune.temperature"]) == 0.02
    assert int(rows["warm"]["caption.max_tokens"]) == 200
    assert not any("/" in column for column in rows["warm"]) and len(rows["warm"]) <= 10
    everything = project.dvc("exp", "show", "--csv").splitlines()[0].split(",")
    assert {"parks.R@1", "parks.val_mean_recall"} < set(everything)  # no file's name before them


def test_curves_of_two_runs_lie_over_each_other(project: Project, tmp_path: Path) -> None:
    project.dvc("plots", "diff", "HEAD", "warm", "--targets", "plots/tune/parks.csv", "-o", str(tmp_path))
    page = (tmp_path / "index.html").read_text()
    assert "tuning on parks" in page and "recall at K on the test split" not in page
    assert {"HEAD", "warm"} <= set(re.findall(r'"rev": "(\w+)"', page))
