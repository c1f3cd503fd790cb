"""`lempo` commands as forks of a process that has imported everything: a command starts in milliseconds.

Run as a program: reads one request a line as JSON from stdin, answers with one line. Where it may (root on
Linux), it has a /dev/shm of its own, so that what a command leaves there is seen.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from tests.forked import end_as_program

ROOT = Path(__file__).parents[2]
PRELOADED = (
    "torch", "open_clip", "polars", "httpx", "transformers", "safetensors.torch", "lempo.cli",
    "stages.corpus", "stages.pairs", "stages.interpret", "stages.caption", "stages.embed", "stages.tune",
    "stages.evaluate", "stages.report", "lempo.benchmark", "trainer.benchmarks.measure",
    "pipeline.llm.endpoint_engine",
)  # fmt: skip
ENGINES = {
    "endpoint": (),
    "vllm": ("vllm", "vllm.v1.engine.core_client"),
    "ray": ("vllm", "ray", "ray.data.llm"),
}
_CLONE_NEWNS = 0x20000


class Forks:
    """Starts commands; one process for each engine."""

    def __init__(self, engine: str = "endpoint", own_shared_memory: bool = True) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak._forks", str(own_shared_memory), *PRELOADED, *ENGINES[engine]],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def start(self, *arguments: str, folder: Path, limits: dict[str, int] | None = None) -> int:
        """Start `lempo ARGUMENTS` in a folder; its output goes to FOLDER.log. Returns its number."""
        request = {"argv": arguments, "folder": str(folder), "limits": limits or {}}
        return self._ask(request)["pid"]

    def wait(self, pid: int) -> int:
        """The exit code, below 0 if a signal killed it."""
        return self._ask({"wait": pid})["code"]

    def run(self, *arguments: str, folder: Path, limits: dict[str, int] | None = None) -> int:
        return self.wait(self.start(*arguments, folder=folder, limits=limits))

    def shared_memory(self) -> list[str]:
        """Files in /dev/shm, if it is this one's own."""
        return self._ask({"shm": True})["files"]

    def clear_shared_memory(self) -> None:
        """Delete these files: what one trial has left is not the next one's failure."""
        self._ask({"clear": True})

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _private_shared_memory() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        return False
    commands = (["mount", "--make-rprivate", "/"], ["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"])
    return all(subprocess.run(command, capture_output=True).returncode == 0 for command in commands)


def _own_resource_tracker() -> None:
    """A command's semaphores are unlinked when its tracker loses it, which this process's one never does."""
    tracker: Any = resource_tracker._resource_tracker  # type: ignore[attr-defined]
    if tracker._fd is not None:
        os.close(tracker._fd)
        tracker._fd = tracker._pid = None


def _command(argv: list[str], folder: str, limits: dict[str, int], starting: int) -> None:
    """In the fork: run the command and end; `starting` is closed when it starts."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored
    _own_resource_tracker()
    os.chdir(folder)
    log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    if limits:  # they must not cut the log
        cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log, cwd="/")
        assert cat.stdin is not None
        log = cat.stdin.fileno()
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    (Path(folder) / "tmp").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = f"{folder}/tmp"
    sys.argv = ["lempo", *argv]
    for name, value in limits.items():
        number = getattr(resource, name)
        resource.setrlimit(number, (value, resource.getrlimit(number)[1]))

    def run() -> None:
        from lempo.cli import main

        os.close(starting)
        main()

    end_as_program(run)


def _serve() -> None:
    shm = sys.argv[1] == str(True) and _private_shared_memory()
    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        if "argv" in request:
            started, starting = os.pipe()
            pid = os.fork()
            if not pid:
                answers.close()
                _command(request["argv"], request["folder"], request["limits"], starting)
            os.close(starting)
            os.read(started, 1)
            os.close(started)
            answer = {"pid": pid}
        elif "wait" in request:
            answer = {"code": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])}
        elif "clear" in request:
            for name in os.listdir("/dev/shm") if shm else ():
                with contextlib.suppress(OSError):  # a tracker of a killed process deletes some too
                    os.unlink(f"/dev/shm/{name}")
        else:
            answer = {"files": sorted(os.listdir("/dev/shm")) if shm else []}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
