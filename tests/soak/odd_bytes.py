"""Trials of every reader of tests/fuzz with odd bytes."""

import logging
import os
import random
from pathlib import Path
from time import monotonic

from tests.fuzz.mutate import mutated
from tests.fuzz.target import is_read
from tests.fuzz.targets import TARGETS
from tests.soak._limit import TooSlow, limited
from tests.soak.trial import Outcome, each

PROMISE = "Whatever bytes a file or an answer holds, it is read right or refused with its name and a remedy."
HOW = (
    "Sound files of every reader get odd values, cuts and flips. There are readers of datasets, images, "
    "parameters, prompts, tables, features, caches, models, benchmarks, and answers of models and servers. A "
    "traceback fails, and so does a wait of 20 s."
)
TEST_TRIALS = 300
SOAK_TRIALS = 60_000
LONGEST_S = 20


def run(trials: int, seed: int, folder: Path) -> Outcome:
    logging.disable(logging.WARNING)  # caches say of each damaged file that it is made again
    try:
        return _run(trials, random.Random(seed), folder)
    finally:
        logging.disable(logging.NOTSET)


def _run(trials: int, rng: random.Random, folder: Path) -> Outcome:
    failures = []
    targets = {}
    for name, prepare in TARGETS.items():
        (folder / name).mkdir()
        targets[name] = prepare(folder / name)
    names, done, refused, slowest = sorted(targets), 0, 0, 0.0
    for number in each(trials):
        name = names[number % len(names)]
        data = mutated(rng.choice(targets[name].seeds), rng)
        begun = monotonic()
        try:
            with limited(LONGEST_S):
                refused += not is_read(targets[name], data)
        except (Exception, TooSlow) as error:
            kept = _keep(name, data, number)
            failures.append(f"{name}, trial {number} ({kept}): {type(error).__name__}: {error}")
        done, slowest = number + 1, max(slowest, monotonic() - begun)
    figures = {"readers": len(names), "refused": refused, "slowest, s": round(slowest, 2)}
    return Outcome(done, tuple(failures), figures)


def _keep(name: str, data: bytes, number: int) -> str:
    """Save what failed, to be replayed with `python -m tests.fuzz TARGET --replay FILE`."""
    file = Path(f"build/fuzz/{name}/trial-{number}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return os.fspath(file)
