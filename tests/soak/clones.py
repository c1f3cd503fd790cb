"""Trials of two clones of the project in different surroundings."""

import os
import random
import subprocess
from pathlib import Path

from tests.project import Project
from tests.soak._pipeline import differing, outs, run_in, tiny_project, writer
from tests.soak.trial import Outcome, each

PROMISE = "Two clean clones give the same bytes, wherever they lie and whatever the surroundings."
HOW = (
    "`dvc repro` runs the pipeline in two folders. They differ in path, umask, locale, time zone, hash seed, "
    "home and order of files. All outs, metrics, plots, the report and `dvc.lock` are compared byte by byte. "
    "Texts come from a server in every other trial, else from vLLM."
)
TEST_TRIALS, SOAK_TRIALS = 1, 6
SLOW = True
_SURROUNDINGS = (
    ({"LC_ALL": "C", "TZ": "UTC", "PYTHONHASHSEED": "0"}, 0o022, "one"),
    (
        {"LC_ALL": "C.UTF-8", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4242", "COLUMNS": "40"},
        0o077,
        "a b é/two",
    ),
)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    rng, failures, done, files = random.Random(seed), [], 0, 0
    with writer() as url:
        for number in each(trials):
            place = folder / str(number)
            compared, failure = _compare(place, url if number % 2 == 0 else None, rng)
            files += compared
            if failure is not None:
                failures.append(f"trial {number}: {failure}")
            subprocess.run(["rm", "-rf", place], check=True)
            done = number + 1
    return Outcome(done, tuple(failures), {"files compared": files})


def _compare(place: Path, url: str | None, rng: random.Random) -> tuple[int, str | None]:
    found = []
    # both are made before one runs: the code that is copied must not change between
    projects = {name: tiny_project(place / name, url) for _, _, name in _SURROUNDINGS}
    for environment, umask, name in _SURROUNDINGS:
        home = place / "home" / name
        home.mkdir(parents=True)
        project = projects[name]
        _shuffled(project, rng)
        before = os.umask(umask)
        try:
            done, _ = run_in(project, "dvc", "repro", HOME=str(home), **environment)
        finally:
            os.umask(before)
        if done.returncode:
            return 0, f"`dvc repro` in {name!r} ended with {done.returncode}: {done.stdout[-400:]}"
        found.append(outs(project) | {"dvc.lock": (project.folder / "dvc.lock").read_text()})
    names = differing(*found)
    return len(found[0]), f"files that differ: {', '.join(names)}" if names else None


def _shuffled(project: Project, rng: random.Random) -> None:
    """Write the images again in another order: folders list their files in another order then."""
    images = sorted(project.folder.glob("tiny/*/images/*"))
    rng.shuffle(images)
    for path in images:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
