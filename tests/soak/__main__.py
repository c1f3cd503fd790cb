"""python -m tests.soak [NAME...]: run many trials and write what held into docs/reliability.md."""

import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.base.code import code_hash
from tests.soak import _page
from tests.soak._modules import load, names
from tests.soak.trial import Outcome, end_by

ROOMS = ("lempo", "stages", "pipeline", "trainer", "embedded", "tests/soak")
_KEPT = 200  # failures of one module that the file of figures keeps


def main(
    chosen: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Modules of tests/soak. Default: all.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials of each module. Default: its SOAK_TRIALS.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the trials.")] = 0,
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="About the time for all modules together.")
    ] = None,
    write: Annotated[bool, typer.Option(help="Write the figures and the page.")] = True,
    beside: Annotated[
        bool, typer.Option("--beside", help="Keep the earlier runs' figures. Default: replace them.")
    ] = False,
    render: Annotated[bool, typer.Option("--render", help="Only write the page again.")] = False,
) -> None:
    """Run trials of the promises of docs/reliability.md; exit code 1 if one did not hold."""
    if unknown := set(chosen or ()) - set(names()):
        known = ", ".join(names())
        raise typer.BadParameter(f"no such module: {', '.join(sorted(unknown))}; there are {known}")
    if render:
        _page.write(_page.read_figures())
        return
    started, todo, bad = time.monotonic(), list(chosen or names()), []
    for place, name in enumerate(todo):
        limit = None
        if minutes is not None:
            left = max(0.0, started + 60 * minutes - time.monotonic())
            limit = time.monotonic() + left / (len(todo) - place)
        print(f"[{place + 1}/{len(todo)}] {name}", flush=True)
        entry = _entry(name, trials, seed, limit)
        if entry is None or entry["failures"]:
            bad.append(name)
        if entry is not None and write:
            known = _page.read_figures()
            _page.write({**known, name: [*(known.get(name, []) if beside else []), entry]})
    if bad:
        print(f"did not hold: {', '.join(bad)}")
        raise typer.Exit(1)


def _entry(name: str, trials: int | None, seed: int, limit: float | None) -> dict[str, Any] | None:
    """Run a module; what the file of figures keeps of it, or None if the module itself broke."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        end_by(limit)
        try:
            module = load(name)
            outcome: Outcome = module.run(trials or module.SOAK_TRIALS, seed, Path(folder))
        except Exception:
            traceback.print_exc()
            return None
        finally:
            end_by(None)
    seconds = time.monotonic() - begun
    rate = outcome.trials / seconds * 60
    print(
        f"    {outcome.held} of {outcome.trials} held, {seconds:.0f} s, {rate:.0f} trials a minute",
        flush=True,
    )
    for line in outcome.failures[:10]:
        print(f"    {line}")
    return {
        "trials": outcome.trials,
        "held": outcome.held,
        "failures": [line.replace(folder, "FOLDER")[:500] for line in outcome.failures[:_KEPT]],
        "figures": dict(outcome.figures),
        "seed": seed,
        "seconds": round(seconds, 1),
        "code": code_hash(*ROOMS),
    }


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    app.command()(main)
    app()
