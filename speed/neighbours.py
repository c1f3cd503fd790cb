"""Stages beside busy processes, and what threads that sleep while they wait cost on an idle machine.

Needs the tables of all stages up to `caption`. The stages are run as a person runs them, imports included.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from statistics import median

from pipeline.base.cores import usable_cores
from pipeline.base.paths import Paths
from pipeline.base.waiting import POLICY, SPINS, soon_sleep
from speed.figures import Figure, Run, in_turns, ratio, seconds
from speed.project import empty, lempo, part

# the runtime ignores an empty policy: threads spin for some milliseconds, as they do without the variables
_NO_POLICY = {POLICY: "", SPINS: "300000"}
_SHORT = {"tune": {"epochs": 1}, "comparators": {"epochs": 4}}
UNIT = "ratio of seconds"


def measure(run: Run) -> dict[str, Figure]:
    queries, turns, cores = run.size(240, 2), run.size(3, 1), usable_cores()
    params, paths = part(run, queries, **_SHORT)
    (dataset,) = params.datasets
    stages = {"embed": ("embed",), "tune": ("tune", dataset), "evaluate": ("evaluate", dataset)}
    spent: dict[str, dict[str, list[float]]] = {
        side: {stage: [] for stage in stages} for side in ("idle", "crowded", "spinning")
    }

    ours: dict[str, str] = {}
    soon_sleep(ours)

    def timed(side: str, policy: Mapping[str, str] = ours, crowd: int = 0) -> float:
        empty(paths)
        with busy(crowd) if crowd else nullcontext():
            for stage, arguments in stages.items():
                spent[side][stage].append(_seconds(paths, arguments, policy))
        return sum(values[-1] for values in spent[side].values())

    lempo(run.folder, "embed")  # reads all files
    in_turns(
        {
            "idle": lambda: timed("idle"),
            "crowded": lambda: timed("crowded", crowd=cores),
            "spinning": lambda: timed("spinning", policy=_NO_POLICY),
        },
        turns,
    )
    shared = 2  # cores over the fair share of them: as many others run as there are cores
    fair = [shared * sum(each) for each in zip(*spent["idle"].values(), strict=True)]
    crowded = [sum(each) for each in zip(*spent["crowded"].values(), strict=True)]
    passive, spinning = (
        [sum(each) for each in zip(spent[side]["embed"], spent[side]["tune"], strict=True)]
        for side in ("idle", "spinning")
    )
    of_stages = ", ".join(
        f"{stage} {median(spent['crowded'][stage]) / median(spent['idle'][stage]) / shared:.2f}"
        for stage in stages
    )
    costs = ", ".join(
        f"{stage} {median(spent['idle'][stage]) / median(spent['spinning'][stage]):.2f}"
        for stage in ("embed", "tune")
    )
    some = (
        f"up to {queries} queries of each split of {dataset}, each stage a process of its own, imports "
        f"included, in turns; median of {turns} pairs, since one takes minutes"
    )
    return {
        "crowded_vs_fair": ratio(
            crowded,
            fair,
            UNIT,
            f"{shared} times the time on an idle machine: the fair share of {cores} cores beside {cores} "
            f"busy processes; what runs in one thread gets more. lempo embed, tune and evaluate together "
            f"({of_stages}); {some}",
        ),
        "passive_waiting_cost": ratio(
            passive,
            spinning,
            UNIT,
            f"the same without {POLICY} and {SPINS}, both idle. lempo embed and tune together ({costs}); "
            f"{some}",
        ),
    }


def _seconds(paths: Paths, arguments: tuple[str, ...], policy: Mapping[str, str]) -> float:
    return seconds(lambda: lempo(paths.root, *arguments, environment=policy))


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Processes that compute without a pause, until the block or this process ends."""
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
