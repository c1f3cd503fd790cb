"""Figures, the turns in which sides are compared, and `results.json`, which keeps the figures."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.base.metrics_io import write_metrics

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("results.json")
TURNS = 5


@dataclass(frozen=True)
class Figure:
    """A figure, what it is compared with, and the least and the greatest value of all turns if known."""

    value: float
    unit: str
    against: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Run:
    """What a measurement is given.

    Attributes:
        folder: empty; what it writes goes there.
        root: the project that it measures; `dvc repro` has run in it.
        quick: whether everything is as small as can be, to try the measurement: its figures mean nothing.
    """

    folder: Path
    root: Path = ROOT
    quick: bool = False

    def size(self, whole: int, quick: int) -> int:
        """A number of rows, steps or turns."""
        return quick if self.quick else whole

    @property
    def turns(self) -> int:
        """How often sides are compared whose turn takes seconds."""
        return self.size(TURNS, 1)

    def python(self, *arguments: str) -> str:
        """What a Python process with these arguments writes, in the folder of the project."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(sides: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """What each side gives in each turn.

    Each turn runs every side once and begins with another one, so that whatever else the machine does, or
    what one side leaves in its caches, falls on all of them.
    """
    names, found = list(sides), {name: [0.0] * turns for name in sides}
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            found[name][turn] = sides[name]()
        shown = ", ".join(f"{name} {values[turn]:.4g}" for name, values in found.items())
        print(f"    turn {turn + 1} of {turns}: {shown}", flush=True)
    return found


def spread(values: Sequence[float], unit: str, against: str) -> Figure:
    """The median of some values, with the least and the greatest of them."""
    return Figure(median(values), unit, against, min(values), max(values))


def ratio(of: Sequence[float], over: Sequence[float], unit: str, against: str) -> Figure:
    """The median of the ratios of values that were measured in the same turn."""
    return spread([one / other for one, other in zip(of, over, strict=True)], unit, against)


def read_results(file: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """All figures by name, each with `value`, `unit`, `against`, `command`, `low` and `high`."""
    return json.loads(file.read_text(encoding="utf-8"))


def record(
    figures: Mapping[str, Figure],
    names: Collection[str],
    file: Path = RESULTS,
    command: str = "python -m speed {}",
) -> None:
    """Write the figures of a measurement into the file; the figures of others stay.

    Args:
        names: all that the measurement can give; what it did not give this time is removed.
        command: that gives them, with the place of the figure's name.
    """
    kept = {name: of for name, of in read_results(file).items() if name not in names}
    new = {name: {**asdict(figure), "command": command.format(name)} for name, figure in figures.items()}
    write_metrics(file, kept | new)


def products() -> str:
    """Whether this processor multiplies bfloat16 itself."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    found = [name for name in ("amx_bf16", "avx512_bf16", "avx_ne_convert") if name in flags.split()]
    return f"the processor has {found[0]}" if found else "the processor has no products of bfloat16"
