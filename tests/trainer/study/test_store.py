"""What a language model says is part of a job's name where the job reads it, and only there."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import torch

from pipeline.base.code import SOURCE_ROOT, code_hash
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PSEUDO_CAPTIONS
from pipeline.base.tables import read_table, write_table
from tests.belonging import sign
from tests.trainer.tiny import make_dataset, make_params, vlm_folder
from trainer.methods import registry
from trainer.methods.recipes import Network
from trainer.study import store
from trainer.study.data import copy_text_state, load_model, load_study_data
from trainer.study.jobs import run_job, run_jobs
from trainer.study.plan import (
    FROZEN,
    TRAIN_QUERIES,
    TUNED,
    Hyperparameters,
    Job,
    has_network,
    same_tower,
    trained_methods,
    untrained_methods,
)
from trainer.study.store import Store
from trainer.tuning.loop import Tuning

__all__ = ["make_params", "vlm_folder"]
READ_CAPTIONS = {
    "image_plus_pseudo_caption", "combiner_pseudo_caption", "artemis_pseudo_caption",
    "composeae_like_pseudo_caption", "combiner_all_texts", "linear_mix", "cirevl", "hybrid_untuned", "hybrid",
    "hybrid_combiner",
}  # fmt: skip
SETTING = Hyperparameters(1e-3, 0.05)
JOBS = [Job("one", method) for method in untrained_methods()] + [
    Job("one", method, SETTING if text == TUNED else None, SETTING if has_network(method) else None)
    for method, text in trained_methods()
]


@pytest.fixture
def projects(make_params: Callable[..., Params], tmp_path: Path) -> tuple[Params, list[Paths]]:
    params = make_params(datasets=("one",), tune={"epochs": 1}, comparators={"epochs": 1})
    said, otherwise = Paths(tmp_path / "said"), Paths(tmp_path / "otherwise")
    for paths in (said, otherwise):
        make_dataset(paths, params, "one")
    table = otherwise.pseudo_captions("one")
    rows = [{**row, "text": "a blue court."} for row in read_table(table, PSEUDO_CAPTIONS).to_pylist()]
    write_table(rows, table, PSEUDO_CAPTIONS)
    sign(params, otherwise, "one")
    return params, [said, otherwise]


def test_other_captions_rename_only_the_jobs_that_read_them(projects: tuple[Params, list[Paths]]) -> None:
    params, both = projects
    one, other = (Store(paths, params, load_model(params, paths).identity) for paths in both)
    renamed = {job.method for job in JOBS if one.job_key(job) != other.job_key(job)}
    kept = {job.method for job in JOBS if one.job_key(job) == other.job_key(job)}
    assert renamed == READ_CAPTIONS and not kept & READ_CAPTIONS
    assert one.details_key(JOBS[-1]) != other.details_key(JOBS[-1])


def test_further_samples_rename_only_the_details(projects: tuple[Params, list[Paths]]) -> None:
    params, (one, other) = projects
    table = other.pseudo_captions("one")
    rows = read_table(one.pseudo_captions("one"), PSEUDO_CAPTIONS).to_pylist()
    sample = {"text": "a green court.", "missed": None, "invented": None}
    write_table(
        [{**row, "row_key": "other", "alternatives": [sample]} for row in rows], table, PSEUDO_CAPTIONS
    )
    sign(params, other, "one")
    before, after = (Store(paths, params, load_model(params, paths).identity) for paths in (one, other))
    assert [before.job_key(job) for job in JOBS] == [after.job_key(job) for job in JOBS]
    assert before.details_key(JOBS[-1]) != after.details_key(JOBS[-1])


@pytest.mark.parametrize(
    "changed", ["trainer/study/data.py", "pipeline/vision/texts.py", "trainer/methods/combiner.py"]
)
def test_other_code_renames_every_job(
    projects: tuple[Params, list[Paths]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    params, (paths, _) = projects
    identity = load_model(params, paths).identity
    for room in ("pipeline", "trainer"):
        copytree(SOURCE_ROOT / room, tmp_path / "code" / room)
    monkeypatch.setattr(store, "code_hash", partial(code_hash, root=tmp_path / "code"))
    before = Store(paths, params, identity)
    (tmp_path / "code" / changed).open("a").write("# changed\n")
    after = Store(paths, params, identity)
    assert not [job for job in JOBS if before.job_key(job) == after.job_key(job)]
    assert before.details_key(JOBS[-1]) != after.details_key(JOBS[-1])


def test_a_result_is_the_same_in_the_run_that_found_it_and_in_the_next(
    projects: tuple[Params, list[Paths]],
) -> None:
    params, (paths, _) = projects
    results = Store(paths, params, load_model(params, paths).identity)
    thirds = {"validation": {"mean_recall": 200 / 3, "mAP": 100 / 3}}
    assert results.write("key", thirds) == results.read("key") != thirds


@pytest.mark.parametrize("text", [FROZEN, TUNED])
def test_jobs_that_do_not_read_captions_find_the_same_whatever_they_say(
    projects: tuple[Params, list[Paths]], text: str
) -> None:
    params, both = projects
    jobs = [job for job in JOBS if job.method not in READ_CAPTIONS and job.text_tower == text]
    assert len(jobs) > 5
    found = []
    for paths in both:
        data = load_study_data(params, paths, "one", load_model(params, paths))
        found.append({job: _timeless(run_job(job, data, params)[0]) for job in jobs})
    assert found[0] == found[1]


def test_a_text_tower_that_jobs_share_is_tuned_once_and_gives_each_what_its_own_would(
    projects: tuple[Params, list[Paths]], monkeypatch: pytest.MonkeyPatch
) -> None:
    params, (paths, _) = projects
    data = load_study_data(params, paths, "one", load_model(params, paths))
    together = [job for job in JOBS if job.tower and registry.named(job.method).tower_texts == ("text",)]
    assert len(together) > 5 and len({same_tower(job) for job in together}) == 1
    tunings = []
    tune = Tuning.run
    monkeypatch.setattr(Tuning, "run", lambda self: tunings.append(1) or tune(self))
    before = copy_text_state(data.vlm.model)
    shared = [_timeless(result) for result, _ in run_jobs(together, data, params)]
    assert len(tunings) == 1
    after = copy_text_state(data.vlm.model)
    assert all(torch.equal(before[name], after[name]) for name in before)
    for job in (together[0], together[-1]):
        assert _timeless(run_job(job, data, params)[0]) == shared[together.index(job)]


@pytest.mark.parametrize("tower", [None, SETTING])
def test_a_network_learns_from_the_queries_that_its_tower_learns_from(
    projects: tuple[Params, list[Paths]], monkeypatch: pytest.MonkeyPatch, tower: Hyperparameters | None
) -> None:
    params, (paths, _) = projects
    data = load_study_data(params, paths, "one", load_model(params, paths))
    read = []
    fit, tune = Network.fit, Tuning.run
    monkeypatch.setattr(Network, "fit", lambda *of: read.append(of[2].train.split.query_ids) or fit(*of))
    monkeypatch.setattr(Tuning, "run", lambda self: read.append(self.train.query_ids) or tune(self))
    for method in ("graph_combiner", "combiner_all_texts"):
        run_job(Job("one", method, tower, SETTING, options=((TRAIN_QUERIES, 3),)), data, params)
    assert len(read) == (4 if tower else 2) and len(set(read[0])) == 3 < len(data.splits["train"])
    assert all(of == read[0] for of in read)


def test_only_jobs_of_the_same_text_tower_share_it() -> None:
    job = Job("d", "tirg", SETTING, SETTING, 1)
    apart = [
        replace(job, dataset="e"), replace(job, tower=Hyperparameters(1e-3, 0.1)), replace(job, seed=2),
        replace(job, tower=None), replace(job, method="combiner_pseudo_caption"),
        replace(job, options=(("distill", 1.0),)), replace(job, method="hybrid", network=None),
    ]  # fmt: skip
    assert all(same_tower(other) != same_tower(job) for other in apart)
    other_network = replace(job, method="graph_combiner", network=Hyperparameters(1e-2, 0.1))
    assert same_tower(other_network) == same_tower(job)


def _timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "seconds": 0}


def test_a_damaged_result_or_text_tower_is_computed_again(projects: tuple[Params, list[Paths]]) -> None:
    params, (paths, _) = projects
    results = Store(paths, params, load_model(params, paths).identity)
    for suffix in ("json", "safetensors"):
        results.write("key", {"seconds": 1.0}, {"a": torch.ones(4)})
        assert results.read("key") == {"seconds": 1.0}
        file = results.folder / f"key.{suffix}"
        file.write_bytes(file.read_bytes()[:-2])
        assert results.read("key") is None
        assert not file.exists()
