"""Run shell commands at the same time, each line of their output after the command's name.

    python -m models.side_by_side "captioner=python -m models.captioner.train ..." "vlm=python -m ..."

Trainings of this size gain little from a second thread, and one after another they take twice as long. The
first command that fails stops the others, and its exit status becomes this one's.
"""

import argparse
import os
import signal
import subprocess
import sys
from threading import Lock, Thread

_writing = Lock()


def _start(command: str) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own, so that all it starts can be stopped with it."""
    return subprocess.Popen(
        command,
        shell=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)


def run(commands: dict[str, str]) -> int:
    """Run named commands until all have ended or one has failed; the exit status of that one, else 0."""
    processes = {name: _start(command) for name, command in commands.items()}
    failed: list[int] = []

    def follow(name: str) -> None:
        process = processes[name]
        assert process.stdout is not None
        for line in process.stdout:
            with _writing:
                print(f"{name}: {line}", end="", flush=True)
        if process.wait() and not failed:
            failed.append(process.returncode)
            print(f"{name}: ended with status {process.returncode}", file=sys.stderr, flush=True)
            for other in processes.values():
                _stop(other)

    followers = [Thread(target=follow, args=(name,)) for name in commands]
    try:
        for follower in followers:
            follower.start()
        for follower in followers:
            follower.join()
    finally:  # an interrupt too
        for process in processes.values():
            _stop(process)
    return abs(failed[0]) if failed else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("commands", nargs="+", metavar="NAME=COMMAND")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    pairs = (command.partition("=") for command in parser.parse_args().commands)
    sys.exit(run({name: command for name, _, command in pairs}))


if __name__ == "__main__":
    main()
