"""The `lempo` command: one subcommand for each stage, and tools for people.

Each subcommand imports its module when it runs, so that `lempo --help` answers at once.
"""

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from lempo.ending import AboveBars, end_with_one_line
from lempo.running import running
from pipeline.base.errors import UserError, perhaps
from pipeline.base.paths import Paths
from pipeline.base.waiting import soon_sleep


def examples(*commands: str) -> str:
    """The end of a help text."""
    return "\n".join(["Examples:", *(f"  {command}" for command in commands)])


_PACKAGES = ("embedded", "lempo", "pipeline", "stages", "trainer")  # their log lines are shown

app = typer.Typer(
    name="lempo",
    help="Remote sensing image retrieval with text feedback: an LLM turns scene graphs into texts, "
    "then the text encoder of a vision language model (VLM) is tuned on them.",
    epilog=examples("lempo doctor", "lempo check", "lempo tune --help"),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"lempo {version('lempo')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _dataset_names() -> list[str]:
    """For the shell's completion: the datasets of params.yaml, as far as it can be read."""
    import yaml

    from pipeline.base.files import file_bytes

    try:
        values = yaml.safe_load(file_bytes(Path("params.yaml")))
        return [str(name) for name in values["datasets"]]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        return []  # a shell that completes a word has no place for an error


Dataset = Annotated[
    str, typer.Argument(help="The name of a dataset in params.yaml.", autocompletion=_dataset_names)
]
_WRITERS = ("interpret", "caption")  # the stages that write texts of every image or query
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _project() -> tuple[Any, Paths]:
    """The checked parameters and the paths of the project in the working directory."""
    from pipeline.base.params import load_params

    return load_params(), Paths()


def _must_be_known(dataset: str, params: Any) -> None:
    if dataset not in params.datasets:
        raise UserError(
            "params.yaml has no such dataset",
            f"{perhaps(dataset, params.datasets)}Use one of {', '.join(params.datasets)}, or add it to "
            "datasets in params.yaml",
            field="DATASET",
            value=dataset,
        )


def _run(stage: str, dataset: str | None = None) -> None:
    params, paths = _project()
    if dataset is not None:
        _must_be_known(dataset, params)
    # vLLM and huggingface_hub report usage over the network unless they are told not to
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from lempo.measured import record

    run: Any = import_module(f"stages.{stage}").run
    with running(paths, stage, dataset, params.datasets):
        run(params, paths, *(() if dataset is None else (dataset,)))
        record(params, paths, stage, dataset)


def _add_stage(name: str, description: str, *commands: str, per_dataset: bool = False) -> None:
    def run_dataset(dataset: Dataset) -> None:
        _run(name, dataset)

    def run_all() -> None:
        _run(name)

    register = app.command(name, help=description, epilog=examples(*commands), rich_help_panel="Stages")
    register(run_dataset if per_dataset else run_all)


_add_stage("corpus", "Read (or draw) every dataset and check every row.", "lempo corpus", "dvc repro corpus")
_add_stage(
    "pairs",
    "Bring together the queries of every dataset; make them from scene graphs where it brings none.",
    "lempo pairs",
    "dvc repro pairs",
)
_add_stage(
    "interpret",
    "Write a caption of every image with a scene graph, by the LLM.",
    "lempo interpret",
    "dvc repro interpret",
)
_add_stage(
    "caption",
    "Write a pseudo caption for every query, by the LLM: a caption of the wanted image.",
    "lempo caption",
    "dvc repro caption",
)
_add_stage(
    "embed", "Compute the image features of every dataset, by the VLM.", "lempo embed", "dvc repro embed"
)
_add_stage(
    "tune",
    "Tune the VLM's text encoder on the image features of one dataset.",
    "lempo tune airplane",
    "dvc repro tune@airplane",
    "torchrun --nproc-per-node 4 -m lempo.cli tune airplane",
    per_dataset=True,
)
_add_stage(
    "evaluate",
    "Measure every method on the test split of one dataset.",
    "lempo evaluate airplane",
    "dvc repro evaluate@airplane",
    per_dataset=True,
)
_add_stage(
    "report",
    "Write a folder with all results and a gallery of queries; it opens from disk.",
    "lempo report",
    "dvc repro",
)


def _tool(*commands: str, hidden: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return app.command(epilog=examples(*commands), rich_help_panel="Tools", hidden=hidden)


@_tool("lempo check", "lempo check --json")
def check(as_json: AsJson = False) -> None:
    """Find in seconds what would stop a long run, and say what it will cost: hours, tokens, disk, memory."""
    from lempo.check import run_checks
    from lempo.findings import show

    if not show(run_checks(Path("params.yaml"), Paths()), as_json):
        raise typer.Exit(1)


@_tool("lempo doctor", "lempo doctor --json")
def doctor(as_json: AsJson = False) -> None:
    """Say what is installed and on which machine, what is missing, and how to mend it."""
    from lempo.doctor import examine
    from lempo.findings import show

    if not show(examine(Paths()), as_json):
        raise typer.Exit(1)


@_tool(
    "lempo captions airplane --worst --limit 3",
    "lempo captions --stage interpret",
    "lempo captions airplane --against HEAD~1 --json",
)
def captions(
    dataset: Annotated[
        str | None,
        typer.Argument(help="The name of a dataset. Default: all datasets.", autocompletion=_dataset_names),
    ] = None,
    stage: Annotated[
        str,
        typer.Option(
            help="The stage that wrote the texts: interpret or caption.",
            autocompletion=lambda: list(_WRITERS),
        ),
    ] = "caption",
    image: Annotated[str | None, typer.Option(help="Show only the texts about this image.")] = None,
    query: Annotated[str | None, typer.Option(help="Show only the text of this query.")] = None,
    worst: Annotated[
        bool, typer.Option(help="Show failed rows and the texts with the most wrong facts first.")
    ] = False,
    failed: Annotated[bool, typer.Option(help="Show only the rows without a text.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            help="Show the texts that differ from another run's, beside them: a git revision, an experiment, "
            "or the folder of another project. With --worst, first those that got worse."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="The number of texts to show. Default: all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show generated texts with their scene graphs; on a terminal in pages."""
    from lempo.captions import Choice, show_captions

    if stage not in _WRITERS:
        remedy = f"{perhaps(stage, _WRITERS)}Use interpret or caption"
        raise UserError("the stage is unknown", remedy, field="--stage", value=stage)
    choice = Choice(image=image, query=query, failed=failed, worst=worst, against=against, limit=limit)
    show_captions(*_project(), dataset, stage, choice, as_json)


@_tool(
    "lempo sheet airplane",
    "lempo sheet airplane --against image_plus_text --choose failures --queries 8 --out failures.png",
    "lempo sheet airplane --id airplane-test-010-a-14 --id airplane-test-028-b-04 --side 240",
)
def sheet(
    dataset: Dataset,
    method: Annotated[str, typer.Option(help="The method whose results are shown.")] = "hybrid",
    against: Annotated[
        str | None, typer.Option(help="A second method, whose results stand below those of the first.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="The number of queries.")] = 20,
    results: Annotated[int, typer.Option(min=1, max=50, help="The number of results of a method.")] = 5,
    choose: Annotated[
        str,
        typer.Option(
            help="mixed, failures (the method's first result is wrong), successes or random. Half of mixed "
            "are failures. All but random are drawn evenly over the kinds of modification."
        ),
    ] = "mixed",
    query: Annotated[
        list[str] | None, typer.Option("--id", help="Show this query instead; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other queries.")] = 0,
    columns: Annotated[int, typer.Option(min=1, max=2, help="Queries beside each other.")] = 1,
    side: Annotated[int, typer.Option(min=48, max=1024, help="Pixels of an image's longer side.")] = 144,
    font: Annotated[
        Path | None, typer.Option(help="A TrueType or OpenType font, for letters that Pillow's font lacks.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file: .jpg or .png. Default: sheet-<dataset>.jpg.")
    ] = None,
) -> None:
    """Draw test queries and their first results as one picture, for papers, slides and pages."""
    from lempo.sheet import Choice, write_sheet
    from lempo.sheet_drawing import Look

    params, paths = _project()
    _must_be_known(dataset, params)
    choice = Choice(method, against, queries, results, choose, seed, tuple(query or ()))
    with running(paths, "sheet", dataset):
        write_sheet(
            params, paths, dataset, choice, Look(columns, side, font), out or Path(f"sheet-{dataset}.jpg")
        )


@_tool("lempo export airplane my-model")
def export(
    dataset: Dataset,
    folder: Annotated[Path, typer.Argument(help="The folder to create.")],
) -> None:
    """Copy a tuned model into a folder for a model hub, with the test results in its model card."""
    from lempo.export import export_tuned

    params, paths = _project()
    _must_be_known(dataset, params)
    with running(paths, "export", dataset):
        export_tuned(params, paths, dataset, folder)


@_tool("lempo study", "lempo study --out results --latex")
def study(
    out: Annotated[Path, typer.Option(help="Folder of results.md, results.svg and results.csv.")] = Path(
        "study"
    ),
    latex: Annotated[bool, typer.Option("--latex", help="Write results.tex too.")] = False,
) -> None:
    """Run seeds, trials, ablations, intervals and tests of every method; takes hours, can be continued."""
    from lempo.study import run as run_study
    from pipeline.base.params import load_params
    from pipeline.base.paths import Paths

    with running(Paths(), "study"):
        run_study(load_params(), Paths(), out, latex)


@_tool("lempo benchmark cirr data/cirr", "lempo benchmark circo data/circo --share 0.4")
def benchmark(
    layout: Annotated[
        str,
        typer.Argument(
            help="The benchmark: cirr, fashioniq, circo or patterncom.",
            autocompletion=lambda: ["cirr", "fashioniq", "circo", "patterncom"],
        ),
    ],
    root: Annotated[
        Path, typer.Argument(help="The folder of the benchmark's files, as in docs/benchmarks.md.")
    ],
    split: Annotated[
        str | None, typer.Option(help="The split to measure. Default: the one usually reported.")
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(help="The weight of the text in the mixture of image and text, 0 to 1. Default: 0.5."),
    ] = None,
    choose_on: Annotated[
        str | None, typer.Option(help="Choose --share on this split instead; it must differ from --split.")
    ] = None,
    tuned: Annotated[
        Path | None, typer.Option(help="A folder data/tuned/<dataset>, to measure its text encoder too.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: metrics/benchmarks/<layout>.json.")
    ] = None,
) -> None:
    """Measure image, text and their mixture on a published benchmark, by the benchmark's own protocol."""
    from lempo.benchmark import run
    from trainer.benchmarks.measure import Request

    params, paths = _project()
    with running(paths, "benchmark", layout):
        run(params, paths, Request(layout, root, split, share, choose_on, tuned, out))


@_tool("lempo cache", "lempo cache --prune", "lempo cache --json")
def cache(
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete the cached texts that no table uses.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show how many generated texts are cached, by model and prompt."""
    from lempo.cache import show_cache

    params, paths = _project()
    with running(paths, "prune") if prune else nullcontext():
        show_cache(params, paths, prune, as_json)


@_tool("lempo init my-archive --dataset airports", "lempo init --update")
def init(
    folder: Annotated[Path, typer.Argument(help="The project's folder; it is made if it is missing.")] = Path(
        "."
    ),
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="The name of an archive of yours; may be repeated. Default: the embedded worlds."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Write dvc.yaml and docs/ of a project again, for this version.")
    ] = False,
) -> None:
    """Write a project: dvc.yaml, params.yaml, prompts and the embedded models."""
    from lempo import init as project

    if update and dataset:
        remedy = "Name datasets in params.yaml"
        raise UserError("a project is updated without them", remedy, field="--dataset", value=dataset[0])
    if update:
        project.update(folder)
    else:
        project.init(folder, dataset or ())


@_tool("lempo code", hidden=True)
def code() -> None:
    """Write hashes of the installed code; the first stage of a project that `lempo init` made runs this."""
    from lempo.code import write_code

    write_code(Paths())


def _project_if_any() -> tuple[Any, Paths]:
    """As `_project`; None for the parameters where the working directory is no project."""
    return _project() if Path("params.yaml").exists() else (None, Paths())


Vlm = Annotated[
    str | None,
    typer.Option("--vlm", help="The model: local-dir:<folder>, hf-hub:<name> or an open_clip name."),
]
Pretrained = Annotated[
    str | None, typer.Option(help="Weights of an open_clip name: its tag or a .safetensors file.")
]


@_tool(
    "lempo index airplane",
    "lempo index photographs --vlm hf-hub:someone/model --out my-index",
    "lempo index airplane --json",
)
def index(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|DATASET",
            help="A folder with images below it, or a dataset.",
            autocompletion=_dataset_names,
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder of the index.")] = None,
    vlm: Vlm = None,
    pretrained: Pretrained = None,
    as_json: AsJson = False,
) -> None:
    """Make images ready to be searched, or bring their index up to what the folder or dataset holds now."""
    from lempo.search.commands import index as run_index
    from lempo.search.commands import vlm_of
    from pipeline.base.guard import guarded

    params, paths = _project_if_any()
    named = vlm_of(vlm, pretrained)
    if params is not None and target in params.datasets:
        with running(paths, "index", target):
            run_index(target, out, params, paths, named, as_json)
    else:
        guarded()
        run_index(target, out, params, paths, named, as_json)


@_tool(
    "lempo search --id airplane-test-010-a-14 --text 'remove the car'",
    "lempo search --image photo.jpg --text 'add a boat' --index photographs -k 5 --json",
)
def search(
    image: Annotated[Path | None, typer.Option(help="The reference: an image file.")] = None,
    image_id: Annotated[
        str | None, typer.Option("--id", help="The reference: an image of the index.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="What shall be different, as in 'remove the cars'.")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option(help="The reference's scene graph: a JSON file, as in scene_graphs.json.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="The number of images to find.")] = 10,
    where: Annotated[str | None, typer.Option(help="A filter in SQL, as in \"date > '2024-01-01'\".")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Other weights or shares, as in triplet=0.5,graph=-0.3.")
    ] = None,
    index: Annotated[
        str | None,
        typer.Option(help="A dataset, the folder of the images or that of the index. Default: the only one."),
    ] = None,
    vlm: Vlm = None,
    pretrained: Pretrained = None,
    llm: Annotated[
        bool | None,
        typer.Option("--llm/--no-llm", help="Let the project's LLM write texts. Default: in a project."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare every image, even if there is an approximate index.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find the images that look like a reference and differ from it as a text says."""
    from lempo.search import commands
    from lempo.search.searcher import Query

    params, paths = _project_if_any()
    if llm and params is None:
        remedy = "Run the command in a project's folder, or leave --llm out"
        raise UserError("there is no params.yaml that names a language model", remedy, field="--llm")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    query = Query(
        image=image,
        image_id=image_id,
        text=text,
        graph=None if graph is None else commands.read_graph(graph),
        k=k,
        where=where,
        weights=commands.read_weights(weights),
    )
    commands.search(
        query,
        index,
        params,
        paths,
        vlm=commands.vlm_of(vlm, pretrained),
        llm=params is not None if llm is None else llm,
        exact=exact,
        as_json=as_json,
    )


@_tool("lempo serve", "lempo serve airplane --port 8020")
def serve(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATASET|FOLDER]",
            help="A dataset, the folder of the images, or that of the index. Default: the only index.",
            autocompletion=_dataset_names,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen at; others can only reach one that is not loopback.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8017,
    vlm: Vlm = None,
    pretrained: Pretrained = None,
    no_llm: Annotated[bool, typer.Option("--no-llm", help="Write no texts by the project's LLM.")] = False,
) -> None:
    """Open a page, and an API, to search an index."""
    from lempo.search.commands import vlm_of
    from lempo.search.serving import run

    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    params, paths = _project_if_any()
    llm = params is not None and not no_llm
    run(target, params, paths, host, port, vlm=vlm_of(vlm, pretrained), llm=llm)


def main() -> None:
    """Entry point: a user's mistake ends with exit code 1, a signal with 130 or 143, each with one line."""
    soon_sleep(os.environ)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[AboveBars()])
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    end_with_one_line(app)


if __name__ == "__main__":
    main()
