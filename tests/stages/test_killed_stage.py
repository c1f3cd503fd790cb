"""`lempo caption` on the real vLLM, killed with -9 or interrupted, and run again."""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.project import Project
from tests.ties import TIE, caption_messages, raw_texts, scorer

pytestmark = pytest.mark.slow

SEED = 11
DATASETS = ["airplane", "mixed"]
STAGE = (sys.executable, "-m", "lempo.cli", "caption")
LOADING, WRITING = "loading", "writing"
# the first engine runs in processes of its own, as it does for users; the others start in seconds
KILLS = ((WRITING, "1"), (LOADING, "0"), (WRITING, "0"), (WRITING, "0"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Project:
    # few rows at once, so that a kill finds some on disk and some not; a repair's key follows from a text
    vllm = {"max_num_seqs": 2, "kv_cache_memory_bytes": 64_000_000}
    return Project.small(tmp_path_factory.mktemp("corpus"), DATASETS, llm__repairs=0, speed__llm=vllm)


@pytest.fixture(scope="module")
def whole(corpus: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A cold run that nobody disturbs."""
    project = Project(tmp_path_factory.mktemp("whole") / "project", copy=corpus.folder)
    project.run(*STAGE)
    return project


def _stored(project: Project) -> dict[str, list[str]]:
    """Keys on disk, by part."""
    folder = project.paths.cache / "llm"
    return {part.name: pq.read_table(part)["key"].to_pylist() for part in sorted(folder.glob("*.parquet"))}


def _keys(project: Project) -> list[str]:
    return [key for keys in _stored(project).values() for key in keys]


def _speed(project: Project) -> dict:
    return json.loads(project.paths.speed("caption").read_text())


def _wait_for_parts(project: Project, process: subprocess.Popen[bytes], number: int = 2) -> None:
    """Until so many more are on disk: the first result goes there at once, later ones every two seconds."""
    before = len(_parts(project))
    while process.poll() is None and len(_parts(project)) < before + number:
        time.sleep(0.02)


def _parts(project: Project) -> list[Path]:
    return list((project.paths.cache / "llm").glob("*.parquet"))


def _wait_for_core(process: subprocess.Popen[bytes]) -> None:
    """Until vLLM's core is there and loads the model."""
    while process.poll() is None and not any("EngineCore" in child.name() for child in _family(process)):
        time.sleep(0.02)


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _alive(processes: list[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except psutil.NoSuchProcess:
            pass


def _wait_for_the_end(processes: list[psutil.Process]) -> None:
    deadline = time.monotonic() + 20
    while list(_alive(processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    left = list(_alive(processes))
    for process in left:
        process.kill()
    assert not left, f"processes outlive the stage: {left}"


def test_killed_again_and_again_it_ends_as_a_run_that_nobody_disturbs(
    corpus: Project, whole: Project, tmp_path: Path
) -> None:
    killed = Project(tmp_path / "killed", copy=corpus.folder)
    moments, stored, caught = random.Random(SEED), _stored(killed), 0
    for moment, own_processes in KILLS:
        process = killed.start(*STAGE, VLLM_ENABLE_V1_MULTIPROCESSING=own_processes)
        if moment == LOADING:
            time.sleep(moments.uniform(1, 5))
        else:
            _wait_for_parts(killed, process)
            time.sleep(moments.uniform(0, 0.7))
        if process.poll() is not None:
            break  # it was too quick for us
        family = _family(process)
        os.kill(process.pid, signal.SIGKILL)  # this process alone: what it started must follow by itself
        assert process.wait() == -signal.SIGKILL
        assert family or moment == LOADING
        _wait_for_the_end(family)
        before, stored = stored, _stored(killed)
        assert before.items() <= stored.items()  # a part is never changed
        caught += len(stored) > len(before)
        print(f"killed while {moment}: {len(_keys(killed))} rows on disk")
    on_disk, total = _keys(killed), _speed(whole)["generated"]
    assert len(on_disk) == len(set(on_disk)) <= total and caught >= 2

    killed.run(*STAGE)
    speed = _speed(killed)
    assert (speed["generated"], speed["cache_hits"]) == (total - len(on_disk), len(on_disk))
    assert sorted(_keys(killed)) == sorted(_keys(whole)) and len(_keys(killed)) == total
    ours, theirs = killed.pseudo_captions(), whole.pseudo_captions()
    assert ours.keys() == theirs.keys() and all(row["status"] == "ok" for row in ours.values())
    assert all(ours[name]["row_key"] == theirs[name]["row_key"] for name in ours)

    different = [name for name in ours if ours[name]["text"] != theirs[name]["text"]]
    print(f"{len(different)} of {len(ours)} texts differ")
    messages = caption_messages(whole, DATASETS)
    keys = {name: theirs[name]["row_key"] for name in theirs}
    one, other = raw_texts(killed, keys), raw_texts(whole, keys)
    for name in different:
        gap = scorer().tie(messages[name], one[name] or "", other[name] or "")
        print(f"{name}: the texts part where two tokens lie {gap:.1e} apart")
        assert gap < TIE


def test_the_model_computed_once_more_chooses_the_same_tokens(whole: Project) -> None:
    """So that the scorer's word on ties can be taken: greedy texts lose nothing to the best, others do."""
    messages = caption_messages(whole, DATASETS)
    texts = raw_texts(whole, {name: row["row_key"] for name, row in whole.pseudo_captions().items()})
    names = sorted(texts)[::5]
    lost = [max(scorer().losses(messages[name], texts[name] or "")) for name in names]
    assert statistics.mean(loss < TIE for loss in lost) > 0.9
    shifted = [
        max(scorer().losses(messages[name], texts[next_name] or "")) for name, next_name in pairwise(names)
    ]
    assert statistics.mean(loss > 1 for loss in shifted) > 0.9


@pytest.mark.parametrize(("own_processes", "moment"), [("0", WRITING), ("1", WRITING), ("1", LOADING)])
def test_ctrl_c_ends_it_with_one_notice_and_the_cache_intact(
    corpus: Project, tmp_path: Path, own_processes: str, moment: str
) -> None:
    project = Project(tmp_path / "project", copy=corpus.folder)
    process = project.start(*STAGE, VLLM_ENABLE_V1_MULTIPROCESSING=own_processes)
    if moment == WRITING:
        _wait_for_parts(project, process)
    else:
        _wait_for_core(process)
    family = _family(process)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    assert process.wait(30) == 130
    _wait_for_the_end(family)
    said = (project.folder / "said.log").read_text()
    stored = len(set(_keys(project)))  # a part that was just written may stand there twice
    assert f"interrupted; caption: the {stored} texts generated are kept" in said
    assert bool(stored) == (moment == WRITING)
    assert not project.paths.pseudo_captions(DATASETS[0]).exists()
    assert said.count("interrupted") == 1
    assert not any(word in said for word in ("Traceback", "ERROR", "died", "Exception"))
