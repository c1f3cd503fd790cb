"""What a module of trials defines, and what it gives back.

A module of trials has these names:

- `PROMISE`: one sentence, what must hold, for the table of docs/reliability.md;
- `HOW`: one or two sentences, how a trial tries it;
- `TEST_TRIALS`: how many trials the test suite runs (seconds); `SOAK_TRIALS`: how many `make soak` runs;
- `run(trials, seed, folder) -> Outcome`: run them. The same seed gives the same trials. `folder` is empty and
  may be written to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


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
