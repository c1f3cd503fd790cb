"""python -m tests.fuzz [TARGET...]: search the readers for faults, by coverage (atheris)."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from tests.fuzz.target import is_read
from tests.fuzz.targets import TARGETS

OUT = Path("build/fuzz")


def main(
    chosen: Annotated[
        list[str] | None, typer.Argument(metavar="[TARGET]...", help="Readers. Default: all.")
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, help="For each of them.")] = 30,
    replay: Annotated[Path | None, typer.Option(help="Only give this file to the one TARGET.")] = None,
) -> None:
    """Exit code 1 if a reader ends in anything but a result or a clean refusal; what it was given is kept."""
    if unknown := set(chosen or ()) - TARGETS.keys():
        known = ", ".join(TARGETS)
        raise typer.BadParameter(f"no such target: {', '.join(sorted(unknown))}; there are {known}")
    if replay is not None:
        if len(chosen or ()) != 1:
            raise typer.BadParameter("--replay needs one TARGET")
        with tempfile.TemporaryDirectory() as folder:
            taken = is_read(TARGETS[(chosen or [""])[0]](Path(folder)), replay.read_bytes())
        print("read" if taken else "refused as it should be")
        return
    faults = [fault for name in chosen or TARGETS for fault in _search(name, seconds)]
    if faults:
        print(
            "\nAfter mending, move each file into tests/fuzz/found/<target>/: the tests try it from then on."
        )
        raise typer.Exit(1)


def _search(name: str, seconds: int) -> list[Path]:
    """Search one target; the files that it failed on. The corpus of earlier searches is used again."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in (path for path in folder.iterdir() if path.is_file()):
        old.unlink()
    command = [sys.executable, "-m", "tests.fuzz._search", name, str(folder), str(seconds)]
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    said = done.stderr.decode(errors="replace")
    (folder / "log.txt").write_text(said)
    runs, covered = re.findall(r"#(\d+)\s", said), re.findall(r"cov: (\d+)", said)
    faults = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".txt"]
    if not covered or (done.returncode and not faults):
        print(said[-2000:])
        raise typer.Exit(1)
    print(
        f"{name}: {runs[-1]} inputs, {covered[-1]} places covered, {len(faults)} kinds of fault", flush=True
    )
    for path in faults:
        print(f"  {path}\n    replay: python -m tests.fuzz {name} --replay {path}", flush=True)
    return faults


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()
