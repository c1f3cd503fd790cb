"""python -m speed [NAME...]: measure, and write speed/results.json and docs/performance.md."""

import os
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from pipeline.base.waiting import soon_sleep
from speed.figures import read_results, record
from speed.page import write
from speed.process import measure_apart
from speed.registry import LONG, MEASUREMENTS, module_of

# as `make` sets them; each measurement has a process of its own, which inherits them
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures to measure. Default: all.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only try whether it works: tiny sizes, nothing is written.")
    ] = False,
    render: Annotated[bool, typer.Option("--render", help="Only write the page and its plot again.")] = False,
) -> None:
    """Measure on an idle machine after `dvc repro`; exit code 1 if a measurement failed."""
    if render:
        write(read_results())
        return
    modules = _chosen(names or ())
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    soon_sleep(os.environ)  # as `lempo` itself does
    os.environ.pop("LEMPO_CACHE", None)  # measurements empty their caches
    started, failed = time.monotonic(), []
    for place, module in enumerate(modules, 1):
        print(f"[{place}/{len(modules)}] {module}", flush=True)
        begun = time.monotonic()
        figures = measure_apart(module, quick)
        if figures is None:
            failed.append(module)
        else:
            for name, figure in figures.items():
                print(f"  {name}: {figure.value:.4g} {figure.unit}")
            if not quick:
                record(figures, MEASUREMENTS[module])
                write(read_results())
        print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{(time.monotonic() - started) / 60:.1f} minutes")
    if failed:
        print(f"failed: {', '.join(failed)}")
        raise typer.Exit(1)


def _chosen(names: Sequence[str]) -> list[str]:
    try:
        wanted = {module_of(name) for name in names} or set(MEASUREMENTS)
    except KeyError as error:
        if (command := LONG.get(error.args[0])) is not None:
            raise typer.BadParameter(f"{error.args[0]} comes from a run of hours: `{command}`") from None
        known = ", ".join(name for figures in MEASUREMENTS.values() for name in figures)
        raise typer.BadParameter(f"no such figure: {error.args[0]}; there are {known}") from None
    return [module for module in MEASUREMENTS if module in wanted]


if __name__ == "__main__":
    cli = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    cli.command()(main)
    cli()
