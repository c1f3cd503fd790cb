"""What it costs to check that only what belongs together is used.

`python -m speed.checking STAGE [DATASET]` runs a stage of the project in the current folder. It prints the
processor seconds of the whole process, and those spent on hashes of rows and of files of features and on
comparing what tables and folders say of themselves.
"""

import functools
import json
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.base import provenance
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from speed.figures import ROOT, Figure, Run
from speed.project import project

_LIMIT = 2  # percent
_STAGES = ("corpus", "pairs", "interpret", "caption", "embed", "tune", "evaluate", "report")
_ONE_EPOCH = {"epochs": 1, "patience": 1}


def measure(run: Run) -> dict[str, Figure]:
    dataset = load_params(run.root / "params.yaml").datasets[0]
    project(run, datasets=[dataset], tune=_ONE_EPOCH, comparators=_ONE_EPOCH)
    shares: dict[str, float] = {}
    for stage in _STAGES[: run.size(len(_STAGES), 2)]:
        arguments = (stage, dataset) if stage in ("tune", "evaluate") else (stage,)
        spent = [_spent(run, arguments) for _ in range(run.size(3, 1))]
        shares[stage] = median(100 * one["checking"] / one["process"] for one in spent)
        print(f"    {stage}: {shares[stage]:.2f}%", flush=True)
    worst = max(shares, key=shares.__getitem__)
    against = (
        f"{_LIMIT}% of a stage's processor time; the most, of {worst}. One dataset, one epoch, all texts, "
        "pictures and features from the caches, so that a stage has little else to do (what finds kept "
        "parts is not counted): " + ", ".join(f"{stage} {share:.2f}" for stage, share in shares.items())
    )
    return {"checking_percent": Figure(shares[worst], "percent", against)}


def _spent(run: Run, arguments: tuple[str, ...]) -> dict[str, float]:
    """Processor seconds of a stage's process, and of its checks."""
    done = subprocess.run(
        [sys.executable, "-m", "speed.checking", *arguments],
        cwd=run.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "LEMPO_CACHE": str(Paths(run.root).cache.resolve())},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


class _Clock:
    """Adds up the processor seconds of some functions; one within another counts once."""

    def __init__(self) -> None:
        self.seconds, self._within = 0.0, False

    def watch(self, owner: Any, name: str, counts: bool = True) -> None:
        """Time every call of a function from now on; or count nothing within it."""
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            if self._within:
                return function(*arguments, **named)
            self._within, since = True, time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += counts * (time.process_time() - since)
                self._within = False

        setattr(owner, name, timed)


def main(stage: str, *dataset: str) -> None:
    """Run a stage and print what its process and its checks took."""
    clock = _Clock()
    for owner, name in (
        (provenance.RowHashes, "add"),
        (provenance.RowHashes, "columns"),
        (provenance.Provenance, "expect"),
        (provenance.Provenance, "expect_content"),
    ):
        clock.watch(owner, name)
    if stage in ("embed", "tune", "evaluate"):
        clock.watch(import_module("pipeline.vision.features"), "content_hashes")
    module = import_module(f"stages.{stage}")
    if stage == "interpret":  # there it finds the parts that need not be made again, and checks nothing
        clock.watch(module, "content_hash", counts=False)
    module.run(load_params(Path("params.yaml")), Paths(), *dataset)
    print(json.dumps({"checking": clock.seconds, "process": time.process_time()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
