"""Full disks at random moments of the language stages, on vLLM and Ray."""

from pathlib import Path

from tests.soak import full_disk
from tests.soak._toy import ON_ENGINES
from tests.soak.trial import Outcome

PROMISE = "A full disk is one line with its cause with vLLM in the stage and on Ray, too."
HOW = "As `full_disk`, for `interpret` and `caption` with a tiny LLM, and with full disks alone."
TEST_TRIALS = 0
SLOW = True
SOAK_TRIALS = 5 * len(ON_ENGINES)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run trials of the stages and engines in turn."""
    return full_disk.run(trials, seed, folder, ON_ENGINES, ("disk",))
