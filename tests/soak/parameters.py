"""Trials of the pipeline after one random change of params.yaml after another."""

import random
import re
from pathlib import Path
from typing import Any

from tests.project import Project
from tests.soak._pipeline import run_in, tiny_project, writer
from tests.soak.trial import Outcome, each

PROMISE = (
    "After any change of parameters `dvc repro` ends well and `dvc status` is clean. Memory and disk do not "
    "creep."
)
HOW = (
    "A trial changes one to three values of params.yaml and runs `dvc repro` in the same tiny project. No "
    "temporary file and no checkpoint may stay. Beside texts, the caches may hold at most four times what "
    "they did. The peak memory may be at most 1.3 times what it was."
)
TEST_TRIALS, SOAK_TRIALS = 1, 20
SLOW = True

CHANGES: dict[str, tuple[Any, ...]] = {
    "seed": (0, 1, 2),
    "corpus__max_reject_share": (0.05, 0.5),
    "llm__repairs": (0, 1, 2),
    "llm__temperature": (0.0, 0.7),
    "llm__fallback": ("none", "rules"),
    "llm__output": ("text", "json"),
    "llm__max_groups": (2, 24),
    "interpret__max_tokens": (60, 160),
    "caption__samples": (1, 3),
    "embed__dtype": ("float16", "float32"),
    "method__reference": ("removed", "kept"),
    "method__choose": ("validation", "learned", "fixed"),
    "tune__trainable": ("all", "last:1", "lora:2"),
    "tune__negatives": ("gallery", "batch"),
    "tune__distill": (0.0, 0.5),
    "tune__epochs": (1, 2),
    "comparators__epochs": (1, 2),
    "report__queries": (0, 3, 1000),
    "report__pictures": (0, 5, 4000),
}


def run(trials: int, seed: int, folder: Path) -> Outcome:
    rng, failures, done = random.Random(seed), [], 0
    with writer() as url:
        project = tiny_project(folder / "project", url)
        fault, first_peak = _repro(project)
        if fault is not None:
            raise AssertionError(f"the unchanged project: {fault}")
        first, peaks = _sizes(project), [first_peak]
        for number in each(trials):
            changes = {
                name: rng.choice(CHANGES[name]) for name in rng.sample(sorted(CHANGES), rng.choice((1, 2, 3)))
            }
            project.set(**changes)
            fault, peak = _repro(project)
            peaks.append(peak)
            fault = fault or _left(project) or _creep(first, _sizes(project), first_peak, peak)
            if fault is not None:
                failures.append(f"trial {number}, {changes}: {fault}")
            done = number + 1
        last = _sizes(project)
    figures = {
        "peak memory first and largest, MiB": f"{first_peak:.0f}, {max(peaks):.0f}",
        ".lempo/cache first and last, kB": f"{first['cache'] // 1000}, {last['cache'] // 1000}",
        "DVC's cache first and last, kB": f"{first['dvc'] // 1000}, {last['dvc'] // 1000}",
    }
    return Outcome(done, tuple(failures), figures)


def _repro(project: Project) -> tuple[str | None, float]:
    """Run the pipeline; what went wrong, and the peak memory of a process in MiB."""
    done, peak = run_in(project, "dvc", "repro")
    if done.returncode or "Traceback" in done.stdout:
        return f"`dvc repro` ended with {done.returncode}: {done.stdout[-600:]}", peak
    status, _ = run_in(project, "dvc", "status")
    if "up to date" not in status.stdout:
        return f"`dvc status` is not clean: {status.stdout[-600:]}", peak
    return None, peak


def _left(project: Project) -> str | None:
    """Temporary files and checkpoints that a run should have removed."""
    names = [
        name
        for path in project.folder.rglob("*")
        if not re.match(r"\.(git|dvc)/", name := path.relative_to(project.folder).as_posix())
        and (path.suffix == ".tmp" or (name.startswith(".lempo/cache/tune/") and path.is_file()))
    ]
    return f"files stay: {', '.join(names[:5])}" if names else None


def _sizes(project: Project) -> dict[str, int]:
    """Bytes of the project's cache, of its texts alone, and of DVC's cache."""
    folders = {"cache": ".lempo/cache", "texts": ".lempo/cache/llm", "dvc": ".dvc/cache"}
    return {
        name: sum(path.stat().st_size for path in (project.folder / folder).rglob("*") if path.is_file())
        for name, folder in folders.items()
    }


def _creep(first: dict[str, int], now: dict[str, int], first_peak: float, peak: float) -> str | None:
    before, after = (sizes["cache"] - sizes["texts"] for sizes in (first, now))
    if after > 4 * before:
        return f"the cache beside texts grew from {before} to {after} bytes"
    if peak > 1.3 * first_peak:
        return f"the peak memory grew from {first_peak:.0f} to {peak:.0f} MiB"
    return None
