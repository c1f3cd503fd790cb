"""What a person waits for where there is nothing to do: `lempo --help`, and `dvc repro` without a change."""

from statistics import median

from pipeline.base.errors import UserError
from speed.figures import Figure, Run, in_turns, seconds, spread

_CLEAN = "{}"


def measure(run: Run) -> dict[str, Figure]:
    return {"help_seconds": _help(run), "noop_repro_seconds": _repro(run)}


def _help(run: Run) -> Figure:
    sides = {"lempo --help": ("-m", "lempo.cli", "--help"), "import typer": ("-c", "import typer.main")}
    for arguments in sides.values():
        run.python(*arguments)  # reads their files
    spent = in_turns(
        {name: lambda of=of: seconds(lambda: run.python(*of)) for name, of in sides.items()},  # type: ignore[misc]
        run.size(11, 2),
    )
    mine, bare = spent.values()
    against = (
        f"0.3 s; a process that only imports the library of commands, in turns, took {median(bare):.2f} s"
    )
    return spread(mine, "seconds", f"{against}; median of {len(mine)}")


def _repro(run: Run) -> Figure:
    if (said := run.python("-m", "dvc", "status", "--json").strip()) != _CLEAN:
        remedy = "Run `dvc repro`, then measure again"
        raise UserError("the project is not up to date", remedy, file=run.root / "dvc.lock", value=said[:200])
    spent = in_turns(
        {
            "dvc repro": lambda: seconds(lambda: run.python("-m", "dvc", "repro")),
            "dvc status": lambda: seconds(lambda: run.python("-m", "dvc", "status")),
        },
        run.turns,
    )
    mine, status = spent.values()
    against = (
        f"`dvc status` of the same files, in turns, which took {median(status):.2f} s; median of "
        f"{len(mine)}. Nothing has changed, so no stage runs"
    )
    return spread(mine, "seconds", against)
