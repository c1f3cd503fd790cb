"""SIGKILL at a random moment of every stage and tool."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak._toy import COMMANDS, Command, Toy, processes_in, said, still_there, toy
from tests.soak.trial import Outcome, each

PROMISE = "A command that is killed at any moment leaves no process. Run again, it gives the same bytes."
HOW = (
    "A stage or tool of a small project gets SIGKILL at a random moment. So do the runs that go on from "
    "there, up to five kills in all. The language stages ask a server. Each time all processes must end "
    "within 10 s. After one more run every output is that of an undisturbed run, byte for byte (an index: "
    "row for row), without temporary files or shared memory."
)
TEST_TRIALS = len(COMMANDS)
SLOW = True
SOAK_TRIALS = 20 * len(COMMANDS)  # three kills each on average


Trial = Callable[[Toy, Command, Path, random.Random], tuple[list[str], list[float]]]


def run(trials: int, seed: int, folder: Path, commands: list[Command] = COMMANDS) -> Outcome:
    """Run trials of the commands in turn."""
    return run_each(kill, trials, seed, folder, commands, ("killed", "slowest end of all processes, s"))


def run_each(
    trial: Trial,
    trials: int,
    seed: int,
    folder: Path,
    commands: list[Command],
    figures: tuple[str, str],
) -> Outcome:
    """Run trials of all commands in turn.

    Args:
        trial: gives what was wrong, and the seconds from each signal to the end of all; none if the command
            was too quick.
        commands: each is tried as often as the next one, or once more.
        figures: the names of the count of each command and of the slowest end.
    """
    failures, slowest, ended = [], 0.0, dict.fromkeys(map(str, commands), 0)
    done = 0
    with toy(folder) as made:
        for number in each(trials):
            done += 1
            command = commands[number % len(commands)]
            moments = random.Random(f"{seed} {number}")
            bad, seconds = trial(made, command, folder / f"trial-{number}", moments)
            ended[str(command)] += len(seconds)
            slowest = max(slowest, *seconds, 0.0)
            failures += [f"trial {number}, {command}: {'; '.join(bad)}"] if bad else []
    counts = {f"{figures[0]}, {name}": count for name, count in ended.items()}
    return Outcome(done, tuple(failures), {**counts, figures[1]: round(slowest, 1)})


def kill(made: Toy, command: Command, folder: Path, moments: random.Random) -> tuple[list[str], list[float]]:
    """Kill, look, run again, compare; what was wrong, and the seconds until all processes had ended."""
    forks, seconds = made.forks(command.engine), list[float]()
    for times in range(moments.randint(1, 5)):
        if not kill_at_random(made, command, folder, moments, signal.SIGKILL, fresh=not times):
            break
        since = time.monotonic()
        if left := still_there(folder, forks, killed=True):
            end_all(folder)
            forks.clear_shared_memory()
            return left, seconds
        seconds.append(time.monotonic() - since)
    return run_again(made, command, folder), seconds


def kill_at_random(
    made: Toy,
    command: Command,
    folder: Path,
    moments: random.Random,
    number: int,
    fresh: bool = True,
    sent: list[float] | None = None,
) -> int:
    """Start a command and send it a signal; again where it had ended before.

    Args:
        fresh: start from the project before the command, not from what a kill has left.
        sent: gets the moments of the signals.

    Returns:
        its exit code, or 0 if it was too quick five times.
    """
    forks = made.forks(command.engine)
    if fresh:
        made.copy(command, folder)
    for _ in range(5):
        pid, since = forks.start(*command.arguments, folder=folder), time.monotonic()
        time.sleep(0.02 + moments.random() * made.seconds[str(command)])
        os.kill(pid, number)
        if sent is not None:
            sent.append(time.monotonic())
        if code := forks.wait(pid):
            return code
        made.seconds[str(command)] = min(made.seconds[str(command)], time.monotonic() - since)
        still_there(folder, forks)  # its guard, too, deletes what lies there
        shutil.rmtree(folder)
        made.copy(command, folder)
    return 0


def run_again(made: Toy, command: Command, folder: Path) -> list[str]:
    """Run the command undisturbed; what is then wrong with the project."""
    forks = made.forks(command.engine)
    if command.name == "export":  # it never overwrites
        shutil.rmtree(folder / "exported", ignore_errors=True)
    code = forks.run(*command.arguments, folder=folder)
    bad = still_there(folder, forks)
    forks.clear_shared_memory()
    bad += [f"exit code {code}: {said(folder)[-1500:]}"] if code else made.differences(command, folder)
    if not bad:
        shutil.rmtree(folder, ignore_errors=True)  # it may be a disk of its own
    end_all(folder)
    return bad


def end_all(folder: Path) -> None:
    for pid in processes_in(folder):
        os.kill(pid, signal.SIGKILL)
