"""SIGKILL at a random moment of the language stages, on the engines that have processes of their own."""

from pathlib import Path

from tests.soak._toy import ON_ENGINES
from tests.soak.kills import kill, run_each
from tests.soak.trial import Outcome

PROMISE = "The same with vLLM in the stage, and on Ray: no engine, worker or cluster outlives a killed stage."
HOW = (
    "As `kills`, for `interpret` and `caption` with a tiny LLM. All processes of vLLM and of Ray must end "
    "within 10 s, too, and leave nothing in /dev/shm."
)
TEST_TRIALS = 0
SLOW = True
SOAK_TRIALS = 20 * len(ON_ENGINES)  # three kills each on average


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run trials of the stages and engines in turn."""
    return run_each(kill, trials, seed, folder, ON_ENGINES, ("killed", "slowest end of all processes, s"))
