"""SIGINT and SIGTERM at a random moment of every stage and tool."""

import random
import signal
import time
from pathlib import Path

from tests.soak._toy import COMMANDS, Command, Toy, leftovers, said, still_there
from tests.soak.kills import kill_at_random, run_again, run_each
from tests.soak.trial import Outcome

PROMISE = "SIGINT and SIGTERM end a command within 10 s, with exit code 130 or 143 and one line."
HOW = (
    "One of the two comes at a random moment of a stage or tool of a small project. The command must end "
    "with the right code and one line. It leaves no traceback, processes, temporary files or shared memory. "
    "After one more run every output is that of an undisturbed run, byte for byte. The language stages ask a "
    "server."
)
TEST_TRIALS = 4
SLOW = True
SOAK_TRIALS = 10 * len(COMMANDS)
LONGEST_S = 10.0


def run(trials: int, seed: int, folder: Path, commands: list[Command] = COMMANDS) -> Outcome:
    """Run trials of the commands in turn."""
    return run_each(interrupt, trials, seed, folder, commands, ("ended", "slowest end, s"))


def interrupt(
    made: Toy, command: Command, folder: Path, moments: random.Random
) -> tuple[list[str], list[float]]:
    """Send one signal, look, run again, compare; what was wrong, and the seconds from signal to end."""
    number = moments.choice((signal.SIGINT, signal.SIGTERM))
    sent: list[float] = []
    code = kill_at_random(made, command, folder, moments, number, sent=sent)
    if not code:
        return [], []
    seconds = time.monotonic() - sent[-1]
    lines = said(folder)
    bad = [f"exit code {code}, not {128 + number}"] if code != 128 + number else []
    bad += ["a traceback: " + lines[-1500:]] if "Traceback" in lines else []
    what = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    if lines.count(what) != 1:
        bad.append(f"{lines.count(what)} lines say {what!r}: {lines[-500:]}")
    bad += [f"it took {seconds:.1f} s"] if seconds > LONGEST_S else []
    bad += still_there(folder, made.forks(command.engine))
    bad += [f"{name} is left" for name in leftovers(folder)]
    return bad + run_again(made, command, folder), [seconds]
