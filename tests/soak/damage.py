"""A file of a finished project is damaged, then all that read it are run."""

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.soak._damage import HANG_SECONDS, plan
from tests.soak._finished import finish_project
from tests.soak.trial import Outcome

PROMISE = (
    "A damaged file never ends in a traceback, a crash, a hang or other results. An error names the file, or "
    "what it held is made again. Texts and models that people may change count as changed."
)
HOW = (
    "A file of a finished project gets a flipped bit, a cut, other bytes or another file's bytes. Or a "
    "folder or a dangling link takes its place. Then a reader of it runs, and its outputs are compared."
)
TEST_TRIALS = 25
SOAK_TRIALS = 5000
_ROOT = Path(__file__).parents[2]


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run trials in child processes: one that dies or hangs costs its own trial."""
    project = folder / "project"
    finish_project(project)
    project.rename(folder / "finished")
    shutil.copy(folder / "finished/params.yaml", folder)
    todo = list(plan(folder / "finished", trials, random.Random(seed)))
    (folder / "plan.json").write_text(json.dumps(todo))
    results = dict(_run_all(folder, len(todo)))
    failures = [
        f"{todo[i]}: {result}" for i, result in sorted(results.items()) if result.startswith("FAILED")
    ]
    how = Counter(result.split(":")[0] for result in results.values())
    return Outcome(len(results), tuple(failures), {f"trials that ended in: {k}": n for k, n in how.items()})


def _run_all(folder: Path, count: int) -> Iterator[tuple[int, str]]:
    done = 0
    while done < count:
        command = [sys.executable, "-m", "tests.soak._damage", str(folder), str(done)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT
        ) as child:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError(f"a reader of the undamaged project failed: {' '.join(command)}")
            for line in child.stdout:
                yield done, line.strip()
                done += 1
        if done < count:  # it died in this trial
            reason = (
                f"no end after {HANG_SECONDS} s" if child.returncode == -14 else f"exit {child.returncode}"
            )
            yield done, f"FAILED: {reason}"
            done += 1
