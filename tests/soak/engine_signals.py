"""SIGINT and SIGTERM at a random moment of the language stages, on vLLM and Ray."""

from pathlib import Path

from tests.soak._toy import ON_ENGINES
from tests.soak.kills import run_each
from tests.soak.signals import interrupt
from tests.soak.trial import Outcome

PROMISE = "SIGINT and SIGTERM end a language stage within 10 s with vLLM in the stage and on Ray, too."
HOW = "As `signals`, for `interpret` and `caption` with a tiny LLM."
TEST_TRIALS = 0
SLOW = True
SOAK_TRIALS = 10 * len(ON_ENGINES)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run trials of the stages and engines in turn."""
    return run_each(interrupt, trials, seed, folder, ON_ENGINES, ("ended", "slowest end, s"))
