"""Trials of stages with one thread and with two."""

import subprocess
import sys
from pathlib import Path

from tests.project import Project
from tests.soak._pipeline import differing, outs, run_in, serve_texts, writer
from tests.soak.trial import Outcome, each

PROMISE = "Every stage but `tune` and `evaluate` gives the same bytes with one thread and with two."
HOW = (
    "Each stage runs on a small world with OMP_NUM_THREADS=1, and again, without caches, with 2. Texts come "
    "from a server, and vLLM's own texts are not tried here. `tune` and the comparators of `evaluate` are "
    "trained with sums over the threads, so the last digits of their weights depend on their number. That is "
    "counted, not promised."
)
TEST_TRIALS, SOAK_TRIALS = 2, 28
SLOW = True
STAGES = ("corpus", "pairs", "embed", "interpret", "caption", "tune", "evaluate", "report")
TRAINED = ("tune", "evaluate")
_DATASET = "airplane"


def run(trials: int, seed: int, folder: Path) -> Outcome:
    failures, done, differed = [], 0, {stage: [0, 0] for stage in TRAINED}
    with writer() as url:
        for number in each(trials):
            stage = STAGES[number % len(STAGES)]
            if stage == STAGES[0]:
                project = _small(folder / str(number), url, seed + number // len(STAGES))
            _run(project, stage, 1)
            names = _changed(project, stage)
            if stage in TRAINED:
                differed[stage][0] += bool(names)
                differed[stage][1] += 1
            elif names:
                failures.append(f"trial {number}, {stage} with two threads: {', '.join(names)}")
            done = number + 1
    figures = {
        f"runs of {stage} that differed": f"{n} of {runs}" for stage, (n, runs) in differed.items() if runs
    }
    return Outcome(done, tuple(failures), figures)


def _small(place: Path, url: str, seed: int) -> Project:
    project = Project(place)
    project.set(datasets=[_DATASET], seed=seed, tune__epochs=2, comparators__epochs=2, speed__workers=1)
    project.set(f"worlds/{_DATASET}/world.yaml", families={"train": 1, "val": 1, "test": 1})
    serve_texts(project, url)
    return project


def _changed(project: Project, stage: str) -> list[str]:
    """Names of the files that differ where the stage runs again, in a copy, with two threads."""
    copy = project.folder.with_name(f"{project.folder.name}-copy")
    subprocess.run(["cp", "-a", project.folder, copy], check=True)
    try:
        subprocess.run(["rm", "-rf", copy / ".lempo"], check=True)
        again = Project.at(copy)
        _run(again, stage, 2)
        return differing(outs(project), outs(again))
    finally:
        subprocess.run(["rm", "-rf", copy], check=True)


def _run(project: Project, stage: str, threads: int) -> None:
    dataset = [_DATASET] if stage in ("tune", "evaluate") else []
    command = (sys.executable, "-m", "lempo.cli", stage, *dataset)
    done, _ = run_in(project, *command, OMP_NUM_THREADS=str(threads))
    if done.returncode:
        raise AssertionError(f"lempo {stage} ended with {done.returncode}: {done.stdout[-1000:]}")
