"""A small finished project in which the commands and the Python of the pages run."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import torch
from PIL import Image

from tests.docs.pages import Command
from tests.pipeline.corpus.source import COLOURS, Source
from tests.project import Project
from tests.soak._pipeline import serve_texts
from tests.trainer.benchmarks.tiny import make_circo, make_cirr, make_fashioniq

_SAYS_ITS_ADDRESS_WITHIN_S = 120


def make_example(folder: Path, programs: Path, url: str) -> Project:
    """The project after `dvc repro`: its dataset `airplane` is nine pictures, its language model a server.

    Beside it lies what the pages tell a person to bring: photographs, a reference, a dataset of graphs and
    queries, benchmarks, published weights.
    """
    project = Project(folder, programs=programs)
    shutil.rmtree(folder / "worlds/airplane")
    Source(folder / "worlds/airplane")
    project.set(datasets=["airplane"], tune__epochs=1, comparators__epochs=1, speed__workers=1)
    serve_texts(project, url)
    Source(folder / "archive/ucm")
    shutil.copytree(folder / "worlds/airplane/images", folder / "photographs")
    for name in ("reference.png", "reference.tif"):
        Image.new("RGB", (40, 30), COLOURS["red"]).save(folder / name)
    make_cirr(folder / "CIRR")
    make_fashioniq(folder / "FashionIQ")
    make_circo(folder / "CIRCO")
    weights = {"state_dict": {"module.logit_scale": torch.ones(())}}
    torch.save(weights, folder / "RemoteCLIP-ViT-B-32.pt")
    project.commit("A small dataset")
    project.repro()
    project.commit("First run")
    return project


class Session:
    """A person at a shell: what one command leaves (folder, servers) is there for the next."""

    def __init__(self, project: Project) -> None:
        self._project, self._place = project, project.folder
        self._servers: list[subprocess.Popen[str]] = []
        self._port = "8017"

    def run(self, command: Command, text: str) -> str:
        """Run `text`, which stands for the command here; what it printed. An AssertionError if it fails."""
        if text.startswith("lempo serve"):
            return self._serve(command, text)
        kept = self._project.folder / "place"
        (home := self._project.folder / "home").mkdir(exist_ok=True)
        script = f"{text.replace(':8017', f':{self._port}')}\npwd > {kept}"
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script], cwd=self._place,
            env=self._project.environment | {"HOME": str(home)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, (
            f"{command}\nends with {done.returncode}, run here as\n{text}\n{done.stdout}"
        )
        self._place = Path(kept.read_text().strip())
        kept.unlink()
        return done.stdout

    def _serve(self, command: Command, text: str) -> str:
        """Start a server at a free port; it stays until `close`."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {text.partition('#')[0]} --port 0"], cwd=self._place,
            env=self._project.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._servers.append(process)
        assert process.stderr is not None
        said, until = [], time.monotonic() + _SAYS_ITS_ADDRESS_WITHIN_S
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                self._port = found[1]
                return "".join(said)
            assert time.monotonic() < until, f"{command}\nsays no address:\n{''.join(said)}"
        raise AssertionError(f"{command}\nhas ended:\n{''.join(said)}")

    def close(self) -> None:
        """End the servers as Ctrl-C does."""
        for process in self._servers:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(20) == 130
            finally:
                process.kill()
                process.wait()
