"""A copy of the project with little data, for tests that run DVC on it as a person would."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.paths import Paths
from pipeline.base.schemas import PSEUDO_CAPTIONS
from pipeline.base.tables import read_table

ROOT = Path(__file__).parents[1]


class Project:
    """A git repository at `folder` with the files that git tracks here, or all files of the folder `copy`.

    Commands are those of this environment, or those in the folder `programs` (of `tests.warm`).
    """

    programs: Path | None = None

    def __init__(self, folder: Path, copy: Path | None = None, programs: Path | None = None) -> None:
        self.folder, self.programs = folder, programs
        if copy is not None:
            shutil.copytree(copy, folder)
            return
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split("\0")
        for name in filter(None, listed):
            if name == "dvc.lock" or name.startswith(("metrics/", "plots/")) or not (ROOT / name).is_file():
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        self.git("init", "-q", "-b", "main")
        self.commit("Start")

    @classmethod
    def small(cls, folder: Path, datasets: list[str], **changes: object) -> "Project":
        """A project with one family of scenes in each split, and its corpus; `changes` as for `set`."""
        project = cls(folder)
        project.set(datasets=datasets, **changes)
        for dataset in datasets:
            project.set(f"worlds/{dataset}/world.yaml", families={"train": 1, "val": 1, "test": 1})
        for stage in ("corpus", "pairs"):
            project.run(sys.executable, "-m", "lempo.cli", stage)
        return project

    @classmethod
    def at(cls, folder: Path) -> "Project":
        """The project that is already in a folder."""
        project = cls.__new__(cls)
        project.folder = folder
        return project

    @property
    def paths(self) -> Paths:
        return Paths(self.folder)

    @property
    def environment(self) -> dict[str, str]:
        """For commands in the project: this environment's programs first, and the modules of the copy."""
        first = [str(folder) for folder in (self.programs, Path(sys.executable).parent) if folder]
        return os.environ | {
            "PATH": os.pathsep.join([*first, os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder),
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # starts in seconds; decodes slower
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # threads bound to a busy core wait for each other
            "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": "user.name",
            "GIT_CONFIG_VALUE_0": "test",
            "GIT_CONFIG_KEY_1": "user.email",
            "GIT_CONFIG_VALUE_1": "test@localhost",
        }

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project and wait for it."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            )
        return done

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command in the project, in a process group of its own; its output goes to `said.log`."""
        with open(self.folder / "said.log", "ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_accept_interrupts,
            )

    def pseudo_captions(self) -> dict[str, dict[str, Any]]:
        """Rows of the tables of all datasets, by the ids of their queries."""
        datasets = yaml.safe_load((self.folder / "params.yaml").read_text())["datasets"]
        tables = [read_table(self.paths.pseudo_captions(name), PSEUDO_CAPTIONS) for name in datasets]
        return {row["query_id"]: row for table in tables for row in table.to_pylist()}

    def git(self, *arguments: str) -> str:
        return self.run("git", *arguments).stdout

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def dvc(self, *arguments: str) -> str:
        return self.run("dvc", *arguments).stdout

    def repro(self) -> list[str]:
        """`dvc repro`; the names of the stages that ran or came from the run cache."""
        lines = self.dvc("repro").splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def set(self, file: str = "params.yaml", **changes: object) -> None:
        """Change leaves of a YAML file; `a__b=1` is `a.b: 1`."""
        path = self.folder / file
        values = yaml.safe_load(path.read_text())
        for name, value in changes.items():
            *sections, leaf = name.split("__")
            parent = values
            for section in sections:
                parent = parent[section]
            parent[leaf] = value
        path.write_text(yaml.safe_dump(values, sort_keys=False))


def _accept_interrupts() -> None:
    """If the tests run in the background of a shell, they ignore SIGINT, and their children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
