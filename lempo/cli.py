"""The `lempo` command: one subcommand a stage, and tools for people.

Nothing heavy is imported here: each subcommand imports its module when it runs.
"""

import logging
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="lempo",
    help="Remote sensing image retrieval with text feedback: scene graphs to language, vision-fixed tuning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Dataset = Annotated[str, typer.Argument(help="One of `datasets` in params.yaml.")]


def _run(stage: str, dataset: str | None = None) -> None:
    from pipeline.base.errors import UserError
    from pipeline.base.params import load_params
    from pipeline.base.paths import Paths

    params = load_params()
    if dataset is not None and dataset not in params.datasets:
        raise UserError(
            "params.yaml names no such dataset",
            f"Use one of {', '.join(params.datasets)}, or add it to datasets",
            field="DATASET",
            value=dataset,
        )
    # no stage needs the network to say that it is used
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    run: Any = import_module(f"stages.{stage}").run
    run(params, Paths(), *(() if dataset is None else (dataset,)))


@app.command(rich_help_panel="Stages")
def corpus() -> None:
    """Read or draw every dataset and check every row of it."""
    _run("corpus")


@app.command(rich_help_panel="Stages")
def interpret() -> None:
    """Scene graph interpretation: a caption of every reference image, by the LLM."""
    _run("interpret")


@app.command(rich_help_panel="Stages")
def caption() -> None:
    """Pseudo captions: what the wanted image of every query would show, by the LLM."""
    _run("caption")


@app.command(rich_help_panel="Stages")
def embed() -> None:
    """Image features of every dataset, by the VLM."""
    _run("embed")


@app.command(rich_help_panel="Stages")
def tune(dataset: Dataset) -> None:
    """Tune the VLM's text encoder on one dataset's cached features."""
    _run("tune", dataset)


@app.command(rich_help_panel="Stages")
def evaluate(dataset: Dataset) -> None:
    """Measure every method on one dataset's test split."""
    _run("evaluate", dataset)


@app.command(rich_help_panel="Stages")
def report() -> None:
    """One HTML page of all results, with pictures."""
    _run("report")


@app.command(rich_help_panel="Tools")
def check() -> None:
    """What an expensive run would trip over, found in seconds."""
    from lempo.check import run_checks
    from pipeline.base.paths import Paths

    if not run_checks(Path("params.yaml"), Paths()):
        raise typer.Exit(1)


@app.command(rich_help_panel="Tools")
def captions(
    dataset: Annotated[str | None, typer.Argument(help="One dataset; all where none is named.")] = None,
    stage: Annotated[str, typer.Option(help="interpret or caption.")] = "caption",
    worst: Annotated[bool, typer.Option(help="Texts that miss or invent most come first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many rows.")] = 10,
) -> None:
    """Print generated texts beside their scene graphs."""
    from lempo.captions import show_captions
    from pipeline.base.errors import UserError
    from pipeline.base.paths import Paths

    if stage not in ("interpret", "caption"):
        raise UserError("the stage is unknown", "Use interpret or caption", field="--stage", value=stage)
    show_captions(Paths(), dataset, stage, worst, limit)


@app.command(rich_help_panel="Tools")
def export(
    dataset: Dataset,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
) -> None:
    """Copy a tuned model to a folder that a model hub takes, its card with the test figures."""
    from lempo.export import export_tuned
    from pipeline.base.paths import Paths

    export_tuned(Paths(), dataset, folder)


@app.command(rich_help_panel="Tools")
def study(
    out: Annotated[Path, typer.Option(help="Folder of results.md and results.csv.")] = Path("docs"),
    latex: Annotated[bool, typer.Option("--latex", help="Write results.tex too.")] = False,
) -> None:
    """Seeds, trials, ablations, intervals and tests of every method: an hour or two, goes on after a kill."""
    from lempo.study import run as run_study
    from pipeline.base.params import load_params
    from pipeline.base.paths import Paths

    run_study(load_params(), Paths(), out, latex)


@app.command(rich_help_panel="Tools")
def benchmark(
    layout: Annotated[str, typer.Argument(help="cirr, fashioniq, circo or patterncom.")],
    root: Annotated[Path, typer.Argument(help="The benchmark's folder; docs/benchmarks.md shows it.")],
    split: Annotated[str | None, typer.Option(help="Default: the one usually reported.")] = None,
    share: Annotated[
        float | None, typer.Option(help="Of the text where image and text mix, 0 to 1. Default: 0.5.")
    ] = None,
    choose_on: Annotated[
        str | None, typer.Option(help="Choose the share on this split instead, another than --split.")
    ] = None,
    tuned: Annotated[
        Path | None, typer.Option(help="A folder data/tuned/<dataset>: measure its text encoder too.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Default: metrics/benchmarks/<layout>.json.")] = None,
) -> None:
    """Measure image, text and their mixtures on a published benchmark, by its own protocol."""
    from lempo.benchmark import run
    from pipeline.base.params import load_params
    from pipeline.base.paths import Paths
    from trainer.benchmarks.measure import Request

    run(load_params(), Paths(), Request(layout, root, split, share, choose_on, tuned, out))


@app.command(rich_help_panel="Tools")
def cache(
    prune: Annotated[bool, typer.Option(help="Delete the texts that no table uses.")] = False,
) -> None:
    """Show what the cache of generated texts holds."""
    from lempo.cache import show_cache
    from pipeline.base.params import load_params
    from pipeline.base.paths import Paths

    show_cache(load_params(), Paths(), prune)


def main() -> None:
    """Entry point: a user's mistake ends with exit code 1 and one line on stderr."""
    from pipeline.base.errors import UserError

    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for ours in ("embedded", "lempo", "pipeline", "stages", "trainer"):
        logging.getLogger(ours).setLevel(logging.INFO)
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # of `lempo captions | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno is None:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"error: {where}{error.strerror}. Mend the path, its rights or the disk", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
