"""Full disks and limits at random moments of every stage and tool."""

import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.soak._toy import COMMANDS, Command, Toy, said, toy
from tests.soak.kills import run_again
from tests.soak.trial import Outcome, each

PROMISE = "A full disk or a limit of the system is one line with its cause. After that, the bytes are right."
HOW = (
    "A stage or tool of a small project runs on a disk (tmpfs) with a random number of free bytes, or with a "
    "random `ulimit -f` or `ulimit -n`. It must end with exit code 0, or with 1 and one line that names a "
    "path or a limit. Then, with room again, every output is that of an undisturbed run, byte for byte. "
    "Without the right to mount there are only limits."
)
TEST_TRIALS = 4
SLOW = True
SOAK_TRIALS = 30 * len(COMMANDS)
_BLOCK = 4096
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)
_CAUSES = ("disk", "file", "ulimit", "space")
_KINDS = ("disk", "disk", "ulimit -f", "ulimit -n")


def run(
    trials: int, seed: int, folder: Path, commands: list[Command] = COMMANDS, kinds: Sequence[str] = _KINDS
) -> Outcome:
    """Run trials of the commands in turn, each of one of the kinds."""
    failures: list[str] = []
    counts: Counter[str] = Counter()
    done = 0
    with toy(folder, own_shared_memory=False) as made:
        for number in each(trials):
            done += 1
            command = commands[number % len(commands)]
            random_ = random.Random(f"{seed} {number}")
            kind = random_.choice(kinds)
            if kind == "disk" and not _can_mount(folder):
                kind = "ulimit -f"
            bad, code = _trial(made, command, folder / f"trial-{number}", random_, kind)
            counts[f"{kind}, {'stopped' if code else 'went through'}"] += 1
            failures += [f"trial {number}, {command}, {kind}: {'; '.join(bad)}"] if bad else []
    return Outcome(done, tuple(failures), dict(sorted(counts.items())))


def _trial(
    made: Toy, command: Command, folder: Path, random_: random.Random, kind: str
) -> tuple[list[str], int]:
    with _disk(folder) if kind == "disk" else _folder(folder):
        made.copy(command, folder)
        (folder / "tmp").mkdir()
        limits = {}
        if kind == "disk":
            files = _files(made.whole(command), command)
            written = sum(-(-path.stat().st_size // _BLOCK) * _BLOCK for path in files)
            _resize(folder, _used(folder) + int(random_.random() * written))
        elif kind == "ulimit -f":
            largest = max(path.stat().st_size for path in _files(made.whole(command), command))
            limits["RLIMIT_FSIZE"] = int(random_.random() * 1.1 * largest)
        else:
            limits["RLIMIT_NOFILE"] = random_.randrange(12, 60)
        code = made.forks(command.engine).run(*command.arguments, folder=folder, limits=limits)
        text = said(folder)
        bad = ["a traceback: " + text[-1500:]] if "Traceback" in text else []
        if code not in (0, 1):
            bad.append(f"exit code {code}: {text[-500:]}")
        lines = _ERROR.findall(text)
        if code == 1 and not (len(lines) == 1 and any(word in lines[0] for word in _CAUSES)):
            bad.append(f"not one line with the cause: {text[-500:]}")
        if kind == "disk":
            _resize(folder, 1 << 30)
        return bad + run_again(made, command, folder), code


def _files(whole: Path, command: Command) -> Iterator[Path]:
    """The outputs of an undisturbed run."""
    for name in command.writes:
        path = whole / name
        yield from (file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def _can_mount(folder: Path) -> bool:
    try:
        with _disk(folder / "mount"):
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    yield


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder], check=True, capture_output=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True, capture_output=True)
        folder.rmdir()


def _used(folder: Path) -> int:
    return shutil.disk_usage(folder).used


def _resize(folder: Path, size: int) -> None:
    subprocess.run(
        ["mount", "-o", f"remount,size={max(size, _BLOCK)}", folder], check=True, capture_output=True
    )
