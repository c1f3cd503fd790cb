"""The caption stage where the cache holds every text. Needs the tables of `corpus` and `pairs`."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from statistics import median

from pipeline.base.metrics_io import read_metrics
from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise
from pipeline.llm.types import Engine, Request, Result
from speed.figures import Figure, Run, in_turns, seconds, spread
from speed.project import lempo, project
from stages import caption

_LIMIT_S = 5


class _ConstantEngine(Engine):
    """Answers every request with one text, wrong for nearly all rows, so that each row is repaired."""

    def __init__(self, text: str) -> None:
        self._text = text

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            yield Result(request.key, self._text, finish_reason="stop", prompt_tokens=75, output_tokens=60)

    def close(self) -> None:
        """There is nothing to free."""


def measure(run: Run) -> dict[str, Figure]:
    params, paths = project(run)
    (run.folder / "data").mkdir()
    for name in ("corpus", "pairs"):
        (run.folder / "data" / name).symlink_to(run.root / "data" / name)
    graph = read_table(paths.scene_graphs(params.datasets[0]), SCENE_GRAPHS).to_pylist()[0]
    text = verbalise(group_objects(graph_from_row(graph)))
    caption.run(params, paths, engine=lambda: _ConstantEngine(text))
    bare = [sys.executable, "-c", "import polars, pyarrow.parquet"]
    spent = in_turns(
        {
            "lempo caption": lambda: seconds(lambda: lempo(run.folder, "caption")),
            "imports": lambda: seconds(lambda: subprocess.run(bare, check=True)),
        },
        run.turns,
    )
    speed = read_metrics(paths.speed("caption"))
    if speed["generated"]:
        raise ValueError("the cache was not full")
    said = lempo(run.folder, "caption", options=("-X", "importtime")).splitlines()
    if {line.rpartition("|")[2].strip() for line in said} & {"vllm", "torch"}:
        raise ValueError("a run on a full cache imports an engine")
    rows, mine = read_metrics(paths.metrics("caption"))["all"]["rows"], spent["lempo caption"]
    against = (
        f"{_LIMIT_S} s for {rows} queries and {speed['cache_hits']} cached texts (each row's repair too), "
        "start included, vllm and torch not imported. A process that only imports what reads and "
        f"writes tables, in turns, took {median(spent['imports']):.2f} s; median of {len(mine)}"
    )
    return {"full_cache_stage_seconds": spread(mine, "seconds", against)}
