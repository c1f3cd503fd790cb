"""python -m speed.rows --folder FOLDER 10000 100000

Makes a project of each number of images in FOLDER and runs every stage that needs no GPU, each in a process
of its own. After the captions one scene graph is changed, and the stages up to there run again. A language
stage asks a server on this machine that answers at once; random unit vectors stand in the place of the embed
stage.
Prints a table, and writes the rows into `speed/rows.json`, beside those of other numbers of images. What all
of them say goes into docs/scaling.md, its plot and `speed/results.json`. A run that was ended goes on with
the stage that it had begun, if its folder and the file are there.

Memory is that of the process with all its descendants, looked at 20 times a second in /proc. `memory` is the
largest sum of their anonymous and shared memory, which the kernel cannot drop. `resident` is the largest sum
of all their resident pages, or what `getrusage` says of the largest process if that is more: it counts shared
pages once for each process, and pages of memory-mapped files (the features) too.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.base.metrics_io import read_metrics, write_metrics
from pipeline.base.paths import Paths
from speed import rows_page, synthetic
from speed.rows_page import CHANGED, LANGUAGE, STAGES
from speed.synthetic import ROOT, RulesServer

ROWS = Path(__file__).with_name("rows.json")
COMMAND = "python -m speed.rows --folder FOLDER"
_LOOK_S = 0.05  # between two looks at the memory
_FILLS = {"corpus": ("images", "graphs"), "interpret": ("llm",)}  # the first stage that writes caches

Costs = dict[str, dict[str, Any]]  # what each stage took, by its name: the attributes of `Cost`


@dataclass(frozen=True)
class Cost:
    """What a stage took.

    Attributes:
        seconds, cpu_seconds: of the wall clock, and of all processes.
        memory_mib, resident_mib: as the module's docstring says.
        generated: texts that the server was asked for.
    """

    seconds: float
    cpu_seconds: float
    memory_mib: int
    resident_mib: int
    generated: int


def run(folder: Path, images: int, known: Costs, keep: Callable[[Costs], None]) -> None:
    """Make a project and run its stages.

    Args:
        folder: of the project; one that an ended run has made is used again.
        known: of the stages that an ended run has measured; they are not run again.
        keep: called with all costs after each stage.

    Raises:
        CalledProcessError: a stage failed.
        FileExistsError: the folder is there, but no whole project.
    """
    costs = dict(known)
    with RulesServer() as server:
        if not synthetic.is_made(folder):
            synthetic.make(folder, images, server.url)
        for stage in STAGES:
            if stage in costs:
                continue
            if stage in _FILLS:  # an ended run may have filled a part of it
                for cache in _FILLS[stage]:
                    shutil.rmtree(Paths(folder).cache / cache, ignore_errors=True)
            if stage.endswith(CHANGED):
                synthetic.change_graph(folder, images)  # once: it finds nothing to change then
            costs[stage] = asdict(_run(folder, stage.removesuffix(CHANGED), server))
            keep(costs)


def _run(folder: Path, stage: str, server: RulesServer) -> Cost:
    """Run a stage of the project; `pairs made` also makes queries, which the next `pairs` leaves out."""
    synthetic.write_params(folder, server.url, beside_brought=stage == "pairs made")
    name, *arguments = stage.removesuffix(" made").split()
    command = [sys.executable, "-m", "lempo.cli", name, *arguments]
    if stage == "features":
        command = [sys.executable, "-m", "speed.synthetic", "."]
    asked = server.asked
    cost = _measured(command, folder)
    generated = server.asked - asked
    if name in LANGUAGE:
        figures = read_metrics(Paths(folder).metrics(name))["all"]
        assert figures["final"]["all_right_rate"] == 1, "the server does not say what a graph says"
    line = f"{cost.seconds:9.1f} s {cost.cpu_seconds:9.1f} s CPU {cost.memory_mib:6} MiB"
    print(f"{stage:18} {line} {generated:8} generated", flush=True)
    return Cost(**{**asdict(cost), "generated": generated})


def _measured(command: list[str], folder: Path) -> Cost:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with open(folder / "said.log", "a", encoding="utf-8") as log:
        since = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        memory = resident = 0
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            own, all_pages = _memory(process.pid)
            memory, resident = max(memory, own), max(resident, all_pages)
            time.sleep(_LOOK_S)
        seconds = time.perf_counter() - since
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, f"see {folder}/said.log")
    resident = max(resident, usage.ru_maxrss)
    return Cost(seconds, usage.ru_utime + usage.ru_stime, memory // 1024, resident // 1024, 0)


def _memory(pid: int) -> tuple[int, int]:
    """KiB of a process and its descendants: anonymous and shared memory, and all resident pages."""
    own = resident = 0
    for one in _descendants(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text()
        except OSError:  # it has ended
            continue
        sizes = dict(line.split(":", 1) for line in status.splitlines())
        anonymous, files, shared = (
            int(sizes.get(name, "0 kB").split()[0]) for name in ("RssAnon", "RssFile", "RssShmem")
        )
        own += anonymous + shared
        resident += anonymous + files + shared
    return own, resident


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:  # it has ended
        return
    for child in children:
        yield from _descendants(child)


def main(
    images: Annotated[list[int], typer.Argument(min=200, help="Numbers of images, a project each.")],
    folder: Annotated[Path, typer.Option(help="The projects are made in here, and stay.")],
    rows: Annotated[Path, typer.Option(help="The file of all rows.")] = ROWS,
) -> None:
    """Measure every stage, print a table of CPU seconds and memory, and write all figures."""
    os.environ.pop("LEMPO_CACHE", None)  # the caches of a project are its own
    known = read_metrics(rows) if rows.is_file() else {}
    for size in images:
        print(f"{size:,} images", flush=True)
        project = folder.resolve() / str(size)
        measured = known.get(str(size), {}).get("stages", {}) if synthetic.is_made(project) else {}

        def keep(costs: Costs, size: int = size) -> None:
            known[str(size)] = {"command": f"{COMMAND} {size}", "stages": costs}
            write_metrics(rows, known)

        run(project, size, measured, keep)
    print("\n".join(rows_page.table(known)))
    if rows == ROWS:
        rows_page.write(known)


if __name__ == "__main__":
    typer.run(main)
