"""The loop of a language stage against vLLM's own benchmark. Needs the tables of `corpus`."""

import shutil
import time
from collections.abc import Iterable, Iterator
from statistics import median
from typing import Any

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.llm.types import Engine, Request, Result
from pipeline.llm.vllm_engine import VllmEngine
from speed.figures import Figure, Run, in_turns, ratio, spread
from speed.project import project
from stages import caption, pairs

SHARED_HEAD = "{% for message in messages[:3] %}{{ message['content'] + '\n' }}{% endfor %}"
LAYOUT = "its chat template keeps the prompt's system text and first example, so that prompts share a head"


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


def measure(run: Run) -> dict[str, Figure]:
    params, paths = _with_a_shared_head(run, run.size(900, 30))
    shared = _SharedEngine(VllmEngine(params.llm, params.speed.llm, params.seed, run.folder))
    hits: list[float] = []
    try:
        _stage(shared, params, paths, [])  # warms up both sides
        prompts = [shared.engine._chat.token_ids(request.messages) for request in shared.requests]
        rates = in_turns(
            {
                "stage": lambda: _stage(shared, params, paths, hits),
                "vllm": lambda: _vllm_bench(shared, prompts),
            },
            run.turns,
        )
        head = shared.engine.shared_tokens()
    finally:
        shared.engine.close()
    tokens = {side: f"{median(values):.0f}" for side, values in rates.items()}
    bench = (
        f"what `vllm bench throughput` times, `LLM.generate` of all {len(prompts)} prompts at once, in the "
        "same order, with each row's own output length and the stage's temperature, in turns on one engine; "
        f"median of {run.turns} pairs ({tokens['stage']} and {tokens['vllm']} tokens/s). "
        "The stage's time is that of generation, checks, and the cache's reads and writes. "
        f"The embedded captioner; {LAYOUT}"
    )
    shareable = (
        f"the tokens in full blocks of the head that all {len(prompts)} prompts share ({head} a prompt), "
        f"over all rows after the first, from an empty prefix cache. The embedded captioner; {LAYOUT}"
    )
    return {
        "caption_vs_vllm_bench": ratio(
            rates["stage"], rates["vllm"], "ratio of output tokens per second", bench
        ),
        "prefix_hit_rate": spread(hits, "share", shareable),
    }


def _with_a_shared_head(run: Run, rows: int) -> tuple[Params, Paths]:
    """A project of `rows` queries whose captioner takes the beginning of the prompt into its context."""
    params, paths = project(run)
    source, model = Paths(run.root), run.folder / "shared-head"
    shutil.copytree(run.root / params.llm.model, model, ignore=shutil.ignore_patterns("*.py", "dvc.*"))
    template = model / "chat_template.jinja"
    template.write_text(SHARED_HEAD + template.read_text())
    config = model / "config.json"
    config.write_text(
        config.read_text().replace('"max_position_embeddings": 512', '"max_position_embeddings": 1024')
    )
    for dataset in params.datasets:
        images, graphs = source.images(dataset), source.scene_graphs(dataset)
        queries = read_table(source.queries(dataset), QUERIES).to_pylist()
        chosen = queries[:: max(1, len(queries) * len(params.datasets) // rows)]
        Expected(params, paths).write_corpus(
            dataset, read_table(images, IMAGES), read_table(graphs, SCENE_GRAPHS), chosen
        )
    pairs.run(params, paths)
    llm = params.llm.model_copy(update={"model": model.name, "repairs": 0})
    return params.model_copy(update={"llm": llm}), paths


def _stage(shared: _SharedEngine, params: Params, paths: Paths, hits: list[float]) -> float:
    """Run the caption stage on an empty row cache; output tokens per second of its loop."""
    shared.engine._llm.reset_prefix_cache()
    shutil.rmtree(paths.cache / "llm", ignore_errors=True)
    caption.run(params, paths, engine=lambda: shared)
    speed = read_metrics(paths.speed("caption"))
    hits.append(speed["prefix_hit_rate"])
    return speed["output_tokens"] / (
        speed["generate_seconds"] + speed["cache_seconds"] + speed["checking_seconds"]
    )


def _vllm_bench(shared: _SharedEngine, prompts: list[list[int]]) -> float:
    """Output tokens per second of all requests at once, each as long as its answer was.

    `vllm bench throughput` itself draws tokens at temperature 1, which takes longer than to take the best.
    """
    from vllm import SamplingParams

    llm: Any = shared.engine._llm
    llm.reset_prefix_cache()
    lengths = [shared.results[request.key].output_tokens or 1 for request in shared.requests]
    sampling = [
        SamplingParams(temperature=request.sampling.temperature, ignore_eos=True, max_tokens=length)
        for request, length in zip(shared.requests, lengths, strict=True)
    ]
    start = time.perf_counter()
    outputs = llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], sampling, use_tqdm=False)
    return sum(len(output.outputs[0].token_ids) for output in outputs) / (time.perf_counter() - start)
