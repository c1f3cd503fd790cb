"""What a module of trials defines, and what it gives back.

A module of trials has these names:

- `PROMISE`: one sentence, what must hold, for the table of docs/reliability.md;
- `HOW`: a few short sentences, how a trial tries it;
- `TEST_TRIALS`: how many trials the test suite runs (seconds); `SOAK_TRIALS`: how many `make soak` runs;
- `SLOW = True` where `TEST_TRIALS` of them take more than a few seconds; the test is marked `slow` then;
- `run(trials, seed, folder) -> Outcome`: run them. The same seed gives the same trials. `folder` is empty and
  may be written to.

`for number in each(trials)` shows how far the trials are, and ends early where `make soak MINUTES=...` says
so: `Outcome.trials` is then the number that were run.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tqdm import tqdm

_limit: float | None = None  # when the trials of this module must end, by time.monotonic()


@dataclass(frozen=True)
class Outcome:
    """What came of some trials of one promise.

    Attributes:
        trials: how many were run.
        failures: one line for each trial in which the promise did not hold: what was done, what happened.
        figures: what else is worth a line in the docs, by its name: "slowest answer, s" -> 3.1.
    """

    trials: int
    failures: tuple[str, ...] = ()
    figures: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Trials in which the promise held."""
        return self.trials - len(self.failures)


def each(trials: int) -> Iterator[int]:
    """The numbers of the trials to run, with a line of progress where a person watches."""
    for number in tqdm(range(trials), unit="trial", leave=False, disable=not sys.stderr.isatty()):
        if number and _limit is not None and time.monotonic() > _limit:
            return
        yield number


def end_by(limit: float | None) -> None:
    """Let `each` end at this moment of time.monotonic(); None: never."""
    global _limit
    _limit = limit
