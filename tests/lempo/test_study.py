"""`lempo study` on a tiny project: every job for real, in worker processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
import yaml

from lempo.study import _preface, run
from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from tests.trainer.tiny import REPOSITORY, make_dataset, make_params, vlm_folder
from trainer.study.columns import COLUMNS, KEY, SCHEMA
from trainer.study.figures import AS_WRITTEN
from trainer.study.plan import ABLATIONS, BEYOND, CURVES, QUALITY, trained_methods, untrained_methods
from trainer.study.run import Evidence
from trainer.study.traps import TRAPS

__all__ = ["make_params", "vlm_folder"]
DATASETS = ("one", "two")
WITH_EDITS = "two"
TRAINED, UNTRAINED = trained_methods(), untrained_methods()
TRIALS = ({"rate": 0.5, "temperature": 1}, {"rate": 1, "temperature": 3})


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory, make_params: object) -> tuple[Params, Paths]:
    params: Params = make_params(  # type: ignore[operator]
        datasets=DATASETS,
        tune={"epochs": 1},
        comparators={"epochs": 1},
        study={"seeds": 2, "trials": {"tune": TRIALS, "comparators": TRIALS}},
        speed={"workers": 2, "device": "cpu"},
    )
    paths = Paths(tmp_path_factory.mktemp("study"))
    for dataset in DATASETS:
        make_dataset(paths, params, dataset, edits=dataset == WITH_EDITS)
    run(params, paths, latex=True)
    return params, paths


def results(paths: Paths) -> dict[Path, tuple[int, bytes]]:
    """The files of finished jobs: a kill leaves folders, and text towers whose result is not written yet."""
    finished = {path.stem for path in (paths.cache / "study").glob("*.json")}
    files = (path for path in (paths.cache / "study").iterdir() if path.is_file() and path.stem in finished)
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def cells(paths: Paths, table: str) -> list[dict[str, str]]:
    """The rows of one table of the page, by header."""
    page = (paths.root / "study/results.md").read_text(encoding="utf-8")
    (section,) = (part for part in page.split("\n## ") if part.startswith(f"{table}\n"))
    header, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_every_job_was_run_once(studied: tuple[Params, Paths]) -> None:
    params, paths = studied
    trials = len(TRAINED) * len(TRIALS)
    seeds = len(TRAINED) * (params.study.seeds - 1)
    changed = len(ABLATIONS) + len(BEYOND)  # no train split has more queries than those of `LEARNING`
    a_dataset = len(UNTRAINED) + trials + seeds + changed + 1  # and the details
    assert len(list((paths.cache / "study").glob("*.json"))) == a_dataset * len(DATASETS) + len(QUALITY)


@pytest.mark.parametrize(
    ("choose", "said"),
    [("validation", "mixtures are chosen on"), ("learned", "are learned"), ("fixed", "are those of `params")],
)
def test_the_page_says_where_weights_come_from(make_params: object, choose: str, said: str) -> None:
    params: Params = make_params(datasets=DATASETS)  # type: ignore[operator]
    method = params.method.model_copy(update={"choose": choose})
    evidence = Evidence(params.model_copy(update={"method": method}), {}, [], {}, {}, {}, {})
    (line,) = (line for line in _preface(evidence, {}).splitlines() if said in line)
    assert line.endswith("Nothing is chosen on the test split.")


def test_what_is_there_is_not_run_again(studied: tuple[Params, Paths]) -> None:
    params, paths = studied
    before, text = results(paths), (paths.root / "study/results.md").read_text()
    run(params, paths)
    assert results(paths) == before
    assert (paths.root / "study/results.md").read_text() == text


def test_a_lost_result_is_run_again_to_the_same_figures(studied: tuple[Params, Paths]) -> None:
    params, paths = studied
    before = {path: json.loads(data) for path, (_, data) in results(paths).items() if path.suffix == ".json"}
    lost = [path for path, found in sorted(before.items()) if found.get("best_epoch") is not None][:3]
    for path in lost:
        path.unlink()
    run(params, paths)
    for path in lost:
        again = json.loads(path.read_text())
        assert {**again, "seconds": 0} == {**before[path], "seconds": 0}


def test_the_tables_hold_every_method_and_ablation(studied: tuple[Params, Paths]) -> None:
    _, paths = studied
    methods = {row["method"]: row for row in cells(paths, "Every method on `one`")}
    assert {*UNTRAINED, *(method for method, _ in TRAINED)} == set(methods)
    assert methods["hybrid"]["seeds"] == "2" and "±" in methods["hybrid"]["R@1"]
    assert methods["weicom"]["seeds"] == "1"
    assert {row[""] for row in cells(paths, "Ablations")} == {"hybrid", "untuned", *ABLATIONS}
    learning = cells(paths, "By the number of training queries")
    whole = [(method, "all training queries") for method in CURVES]
    untuned = ("hybrid", "untuned")
    assert [(row["method"], row["trained on"]) for row in learning] == [*whole[:-1], untuned, whole[-1]]
    assert "±" in learning[-1]["R@1, one"] and learning[-1]["R@1, one"] == methods["hybrid"]["R@1"]
    ahead = cells(paths, "The hybrid against others by the number of training queries")
    assert [(row["method"], row["trained on"]) for row in ahead] == whole[:-1]
    facts = cells(paths, "R@1 by the number of facts that a modification removes and adds")
    assert {row["dataset"] for row in facts} == {WITH_EDITS}
    assert {row["method"] for row in facts} == set(methods) and len(facts[0]) > 2
    assert {row[""] for row in cells(paths, "Beyond the method")} >= set(BEYOND)
    texts = cells(paths, "The hybrid by how right the texts are")
    assert [row["texts"] for row in texts] == [AS_WRITTEN, *QUALITY]
    assert all(f"R@1, {WITH_EDITS}" in row and "R@1, one" not in row for row in texts)
    kinds = {(row["dataset"], row["method"]): row for row in cells(paths, "R@1 by kind of modification")}
    assert kinds["one", "hybrid"]["recolour"] == methods["hybrid"]["R@1"].split(" ")[0]  # there is no other
    assert {f"without {trap}" for trap in TRAPS} <= cells(
        paths, "R@1 with each kind of trap taken out of the gallery"
    )[0].keys()
    assert [
        row["tuned on"] for row in cells(paths, "Tuned on one dataset, tested on another: mean recall")
    ] == ["untuned", *DATASETS]


def test_taking_traps_away_never_harms(studied: tuple[Params, Paths]) -> None:
    _, paths = studied
    for row in cells(paths, "R@1 with each kind of trap taken out of the gallery"):
        assert all(float(row[f"without {trap}"]) >= float(row["whole gallery"]) for trap in TRAPS)


def test_markdown_and_latex_hold_the_same_figures(studied: tuple[Params, Paths]) -> None:
    _, paths = studied
    markdown, latex = ((paths.root / f"study/results.{end}").read_text() for end in ("md", "tex"))
    for row in cells(paths, "Ablations"):
        figures = [value for column, value in row.items() if column]
        assert len(figures) == 6 and f"| {row['']}" in markdown
        assert all(value in markdown and value in latex for value in figures)
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == markdown.count("\n## ")


def test_every_row_of_the_csv_has_a_key_of_its_own_and_all_figures_of_the_page(
    studied: tuple[Params, Paths],
) -> None:
    _, paths = studied
    figures = pl.read_csv(paths.root / "study/results.csv", schema=SCHEMA)
    assert (paths.root / "study/results.csv").read_text().splitlines()[0] == ",".join(COLUMNS.names)
    assert not figures.select(KEY).is_duplicated().any()
    assert figures["value"].is_not_null().all()
    for dataset in DATASETS:
        leads = figures.filter(table="leads", dataset=dataset).rows_by_key(("method", "measure"), named=True)
        for row in cells(paths, f"The hybrid against each method on `{dataset}`"):
            for measure in ("R@1", "mean_recall"):
                (lead,) = leads[row["method"], measure]
                assert row[measure] == f"{lead['value']:+.1f}"
                assert row[f"{measure}, 95%"] == f"{lead['low']:+.1f} to {lead['high']:+.1f}"
                assert row[f"{measure}, test"] in ("p < 0.001", f"p = {lead['p']:.3f}")


def test_a_project_without_tables_is_one_line(make_params: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dvc repro"):
        run(make_params(datasets=("none",)), Paths(tmp_path))  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_was_ended_goes_on(
    studied: tuple[Params, Paths], tmp_path: Path, how: signal.Signals
) -> None:
    params, whole = studied
    paths = Paths(tmp_path)
    for dataset in DATASETS:
        make_dataset(paths, params, dataset, edits=dataset == WITH_EDITS)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    command = [sys.executable, "-m", "lempo.cli", "study"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    store = paths.cache / "study"
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 300
        while len(list(store.glob("*.json"))) < 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        assert process.stderr is not None
        said = process.stderr.read()  # until the last process that holds it has ended
        assert process.wait(30) == (130 if how == signal.SIGINT else -9)
    assert "Traceback" not in said and len(workers) >= 2
    psutil.wait_procs(workers, timeout=10)
    assert not any(worker.is_running() for worker in workers)
    before = results(paths)
    assert 20 <= len(before) < len(results(whole))
    run(params, paths)
    after = results(paths)
    assert {path: after[path] for path in before} == before
    assert cells(paths, "Every method on `one`") == cells(whole, "Every method on `one`")
