"""The programs `lempo` and `dvc` as forks of one process that has imported what they need.

What they do is the same, but each starts in milliseconds instead of seconds. Their code is that of this
repository. Variables that libraries read when they are imported are those of `warm`.

Run as a program: serves at a socket. A program connects, hands over its arguments, folder, variables and open
files, and gets a process id first and an exit code at the end.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.forked import end_as_program

ROOT = Path(__file__).parents[1]
PRELOADED = (
    "torch", "open_clip", "polars", "httpx", "transformers", "safetensors.torch", "lempo.cli", "lempo.check",
    "stages.corpus", "stages.pairs", "stages.interpret", "stages.caption", "stages.embed", "stages.tune",
    "stages.evaluate", "stages.report", "pipeline.llm.endpoint_engine", "lempo.measured",
    "lempo.search.serving", "dvc.cli.parser", "dvc.repo.reproduce", "dvc.stage.run", "dvc.repo.metrics.diff",
    "dvc.repo.plots", "dvc.repo.experiments.queue.celery", "dvc.repo.experiments.executor.local",
    "dvc_data.index", "dvc.compare",
)  # fmt: skip
WITH_VLLM = ("vllm", "vllm.v1.engine.core_client", "pipeline.llm.vllm_engine")
_CLIENT = """#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    asked = dict(program={program!r}, argv=sys.argv[1:], folder=os.getcwd(), variables=dict(os.environ))
    server.sendall(json.dumps(asked).encode() + b"\\n")
    answers = server.makefile()
    pid = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    sys.exit(int(answers.readline()))
"""


@contextlib.contextmanager
def warm(folder: Path, further: tuple[str, ...] = ()) -> Iterator[Path]:
    """Give a folder with the two programs, for the head of PATH; `folder` is made, and its path is short.

    Args:
        further: modules to import besides.
    """
    folder.mkdir()
    address = str(folder / "socket")
    for program in ("lempo", "dvc"):
        file = folder / program
        file.write_text(_CLIENT.format(python=sys.executable, address=address, program=program))
        file.chmod(0o755)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", address, *PRELOADED, *further], cwd=ROOT, env=environment
    )
    try:
        while not Path(address).exists():
            assert server.poll() is None, "the process that holds the programs has ended"
            time.sleep(0.05)
        yield folder
    finally:
        server.terminate()
        server.wait()


def _run(connection: socket.socket) -> None:
    """In the fork: be the program."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    asked = json.loads(connection.makefile().readline())
    for source, target in zip(files, (0, 1, 2), strict=True):
        os.dup2(source, target)
        os.close(source)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    sys.argv = [asked["program"], *asked["argv"]]
    sys.modules["__main__"].__package__ = None  # else click takes this module's name for the program's
    sys.path[:] = [place for place in sys.path if place]  # not what lies in the working directory

    def run() -> object:
        if asked["program"] == "lempo":
            from lempo.cli import main

            return main()
        from dvc.cli import main as dvc

        return dvc(asked["argv"])

    end_as_program(run)


def _keep(connection: socket.socket) -> None:
    """In a fork: start the program in one more, and tell its exit code, whatever ends it."""
    pid = os.fork()
    if not pid:
        _run(connection)
    connection.sendall(f"{pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    connection.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    os._exit(0)


def _serve(address: str, *modules: str) -> None:
    for name in modules:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address + ".new")
        server.listen(64)
        os.rename(address + ".new", address)
        while True:
            connection, _ = server.accept()
            if not os.fork():
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _keep(connection)
            connection.close()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
