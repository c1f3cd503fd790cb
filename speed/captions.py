"""The language stages' figures: `python -m speed.captions`. Needs `data/corpus` (`dvc repro corpus`)."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise
from pipeline.llm.types import Engine, Request, Result
from pipeline.llm.vllm_engine import VllmEngine
from speed.results import record
from stages import caption, pairs

ROOT = Path(__file__).parents[1]
COMMAND = "python -m speed.captions"
FULL_CACHE_RUNS = 3
SHARED_HEAD = "{% for message in messages[:-1] %}{{ message['content'] + '\n' }}{% endfor %}"
LAYOUT = "its chat template keeps the prompt's system text and examples, so that prompts share a head"


class _SharedEngine(Engine):
    """An engine that stays open between runs of the stage and records what the last run sent and got."""

    def __init__(self, engine: VllmEngine) -> None:
        self.engine = engine
        self.requests: list[Request] = []
        self.results: dict[str, Result] = {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        self.requests, self.results = [], {}

        def recorded() -> Iterator[Request]:
            for request in requests:
                self.requests.append(request)
                yield request

        for result in self.engine.generate(recorded()):
            self.results[result.key] = result
            yield result

    def shared_tokens(self) -> int:
        return self.engine.shared_tokens()

    def close(self) -> None:
        """The next run needs it."""


class _ConstantEngine(Engine):
    """Answers every request with one text, wrong for nearly all rows, so that each row is repaired."""

    def __init__(self, text: str) -> None:
        self._text = text

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            yield Result(request.key, self._text, finish_reason="stop", prompt_tokens=75, output_tokens=60)

    def close(self) -> None:
        """There is nothing to free."""


def throughput(rows: int, repetitions: int, folder: Path) -> None:
    """Compare the caption stage's loop with vLLM's own throughput benchmark, in turn on one engine."""
    params, paths = _with_a_shared_head(rows, folder)
    shared = _SharedEngine(VllmEngine(params.llm, params.speed.llm, params.seed, folder))
    rates: dict[str, list[float]] = {"stage": [], "vllm": []}
    hit_rates = []
    try:
        _stage(shared, params, paths)  # warms up both sides
        prompts = [shared.engine._chat.token_ids(request.messages) for request in shared.requests]
        for turn in range(repetitions):
            for side in ("stage", "vllm") if turn % 2 == 0 else ("vllm", "stage"):
                shared.engine._llm.reset_prefix_cache()
                if side == "vllm":
                    lengths = [shared.results[request.key].output_tokens or 1 for request in shared.requests]
                    rate = _vllm_bench(shared.engine._llm, prompts, lengths)
                else:
                    rate, hits = _stage(shared, params, paths)
                    hit_rates.append(hits)
                rates[side].append(rate)
            shown = ", ".join(f"{side} {values[-1]:.0f}" for side, values in rates.items())
            print(f"tokens/s: {shown}; hits {hit_rates[-1]}", flush=True)
    finally:
        shared.engine.close()
    command = f"{COMMAND} --rows {rows} --repetitions {repetitions}"
    record(
        "caption_vs_vllm_bench",
        median(stage / vllm for stage, vllm in zip(rates["stage"], rates["vllm"], strict=True)),
        "ratio of output tokens per second",
        f"the request loop of `vllm bench throughput` on the same {len(prompts)} prompts in the same order, "
        f"with each row's own output length, taking turns on one engine; median of {repetitions} pairs "
        f"({median(rates['stage']):.0f} and {median(rates['vllm']):.0f} tokens/s). The stage's time is its "
        "whole loop: cache lookup, prompts, generation, checks, cache writes. The embedded captioner; "
        f"{LAYOUT}",
        command,
    )
    record(
        "prefix_hit_rate",
        median(hit_rates),
        "share",
        f"the tokens in full blocks of the head that all {len(prompts)} prompts share "
        f"({shared.engine.shared_tokens()} a prompt), over all rows after the first, from an empty prefix "
        f"cache. The embedded captioner; {LAYOUT}",
        command,
    )


def _with_a_shared_head(rows: int, folder: Path) -> tuple[Params, Paths]:
    """A project of `rows` queries whose captioner takes the whole prompt into its context."""
    model = folder / "captioner"
    shutil.copytree(ROOT / "models/captioner", model, ignore=shutil.ignore_patterns("*.py", "dvc.*"))
    template = model / "chat_template.jinja"
    template.write_text(SHARED_HEAD + template.read_text())
    config = model / "config.json"
    config.write_text(
        config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": 1024')
    )
    params, paths = _project(folder)
    llm = params.llm.model_copy(update={"model": "captioner", "repairs": 0})
    source = Paths(ROOT)
    for dataset in params.datasets:
        images, graphs = source.images(dataset), source.scene_graphs(dataset)
        queries = read_table(source.queries(dataset), QUERIES).to_pylist()
        chosen = queries[:: max(1, len(queries) * len(params.datasets) // rows)]
        Expected(params, paths).write_corpus(
            dataset, read_table(images, IMAGES), read_table(graphs, SCENE_GRAPHS), chosen
        )
    pairs.run(params, paths)
    return params.model_copy(update={"llm": llm}), paths


def _stage(shared: _SharedEngine, params: Params, paths: Paths) -> tuple[float, float | None]:
    """Run the caption stage on an empty row cache; output tokens per second of its loop, and prefix hits."""
    shutil.rmtree(paths.cache / "llm", ignore_errors=True)
    caption.run(params, paths, engine=lambda: shared)
    speed = read_metrics(paths.speed("caption"))
    seconds = speed["generate_seconds"] + speed["cache_seconds"] + speed["checking_seconds"]
    return speed["output_tokens"] / seconds, speed["prefix_hit_rate"]


def _vllm_bench(llm: Any, prompts: list[list[int]], lengths: list[int]) -> float:
    """Output tokens per second of the requests loop of `vllm bench throughput`."""
    from vllm.benchmarks.datasets import SampleRequest
    from vllm.benchmarks.throughput import _run_vllm_requests

    requests = [
        SampleRequest({"prompt_token_ids": prompt}, len(prompt), length)
        for prompt, length in zip(prompts, lengths, strict=True)
    ]
    seconds, outputs = _run_vllm_requests(
        llm, requests, 1, False, do_profile=False, prequeue_requests=False, enable_lora=False
    )
    return sum(len(output.outputs[0].token_ids) for output in outputs or ()) / seconds


def full_cache(folder: Path) -> None:
    """Measure `lempo caption` where the cache holds every text: neither vLLM nor torch is imported."""
    params, paths = _project(folder)
    paths.corpus("").parent.mkdir(parents=True)
    paths.corpus("").symlink_to(ROOT / "data/corpus")
    paths.pairs("").parent.symlink_to(ROOT / "data/pairs")
    graph = read_table(paths.scene_graphs(params.datasets[0]), SCENE_GRAPHS).to_pylist()[0]
    text = verbalise(group_objects(graph_from_row(graph)))
    caption.run(params, paths, engine=lambda: _ConstantEngine(text))
    seconds = []
    for _ in range(FULL_CACHE_RUNS):
        since = time.perf_counter()
        _lempo_caption(folder)
        seconds.append(time.perf_counter() - since)
    speed = read_metrics(paths.speed("caption"))
    assert speed["generated"] == 0, "the cache was not full"
    loaded = {
        line.rpartition("|")[2].strip() for line in _lempo_caption(folder, "-X", "importtime").splitlines()
    }
    assert not loaded & {"vllm", "torch"}, "a run on a full cache imports an engine"
    rows = read_metrics(paths.metrics("caption"))["all"]["rows"]
    record(
        "full_cache_stage_seconds",
        median(seconds),
        "seconds",
        f"5 s for {rows} queries and {speed['cache_hits']} cached texts (each row's repair as well), process "
        f"start included, vllm and torch not imported; median of {FULL_CACHE_RUNS}",
        COMMAND,
    )


def _project(folder: Path) -> tuple[Params, Paths]:
    """This project's parameters, prompts and models in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "models").symlink_to(ROOT / "models")
    (folder / "pipeline").mkdir()
    (folder / "prompts").symlink_to(ROOT / "prompts")
    return load_params(folder / "params.yaml"), Paths(folder)


def _lempo_caption(folder: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-m", "lempo.cli", "caption"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr


def main(
    rows: Annotated[int, typer.Option(min=10, help="Queries of the throughput run.")] = 900,
    repetitions: Annotated[int, typer.Option(min=1, help="Pairs of runs; the median counts.")] = 5,
    only: Annotated[str, typer.Option(help="throughput or full-cache; both where empty.")] = "",
) -> None:
    """Measure the language stages and write speed/results.json."""
    os.environ.pop("LEMPO_CACHE", None)  # the cache is emptied again and again
    with tempfile.TemporaryDirectory() as folder:
        if only != "throughput":
            full_cache(Path(folder) / "full")
        if only != "full-cache":
            throughput(rows, repetitions, Path(folder) / "throughput")


if __name__ == "__main__":
    typer.run(main)
