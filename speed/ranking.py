"""The figure of ranking: `python -m speed.ranking`. Needs nothing but the packages; takes some minutes.

Queries and galleries are random. The gallery that is ranked lies in a memory map, as float16; the one of the
bare product lies in memory, as float32. On one thread its own CPU time is counted, so that other work on the
machine is not.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

from pipeline.base.params import load_params
from speed.results import record
from trainer.retrieval.answers import Answers, make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import TOP, dot_scores, queries_at_once, rank_all

ROOT = Path(__file__).parents[1]
COMMAND = "python -m speed.ranking"
SHAPES = ((500, 200_000, 512), (2000, 400_000, 768))  # queries, images, dimension
_MOST_RIGHT = 4
_BLOCK = 8192


def _gallery(file: Path, images: int, dimension: int) -> Gallery:
    """Random features in a memory map."""
    rng, shape = np.random.default_rng(0), (images, dimension)
    vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape)
    for start in range(0, images, _BLOCK):
        part = rng.standard_normal((min(_BLOCK, images - start), dimension), dtype=np.float32)
        vectors[start : start + _BLOCK] = part / np.linalg.norm(part, axis=1, keepdims=True)
    vectors.flush()
    return Gallery(np.load(file, mmap_mode="r"), torch.arange(images))


def _answers(queries: int, images: int) -> Answers:
    """One to four right answers a query, and a removed reference."""
    rng = np.random.default_rng(1)
    right, removed = [], []
    for _ in range(queries):
        *own, reference = rng.choice(images, rng.integers(2, _MOST_RIGHT + 2), replace=False).tolist()
        right.append(own)
        removed.append(reference)
    return make_answers([own[0] for own in right], right, removed, images)


def _bare(queries: Tensor, gallery: Tensor, chunk: int) -> None:
    for rows in queries.split(chunk):
        (rows @ gallery.T).topk(TOP, dim=1)


def _seconds(work: Callable[[], object]) -> float:
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    work()
    return clock() - start


def compare(shape: tuple[int, int, int], memory_mib: int, pairs: int, folder: Path) -> list[float]:
    """Seconds of ranking over those of the bare product and top-k, for each pair of runs."""
    queries_size, images, dimension = shape
    gallery = _gallery(folder / f"{images}.npy", images, dimension)
    answers, chunk = _answers(queries_size, images), queries_at_once(images, memory_mib)
    queries = torch.randn(queries_size, dimension, generator=torch.Generator().manual_seed(2))
    in_memory = gallery[:]
    sides: dict[str, Callable[[], object]] = {
        "rank": lambda: rank_all(dot_scores(queries, gallery), answers, chunk=chunk),
        "bare": lambda: _bare(queries, in_memory, chunk),
    }
    _bare(queries[:chunk], in_memory, chunk)  # warms up
    ratios = []
    for turn in range(pairs):
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        spent = {side: _seconds(sides[side]) for side in order}
        ratios.append(spent["rank"] / spent["bare"])
        print(f"{shape}: rank {spent['rank']:.2f} s, bare {spent['bare']:.2f} s", flush=True)
    return sorted(ratios)


def main(pairs: Annotated[int, typer.Option(min=1, help="Pairs of runs; the median counts.")] = 5) -> None:
    """Compare ranking with the bare matrix product and top-k, and write speed/results.json."""
    memory = load_params(ROOT / "params.yaml").speed.rank_mib
    with tempfile.TemporaryDirectory() as folder:
        found = {shape: compare(shape, memory, pairs, Path(folder)) for shape in SHAPES}
    named = {" x ".join(map(str, shape)): ratios for shape, ratios in found.items()}
    worst = max(named.values(), key=median)
    shown = ", ".join(f"{median(ratios):.3f} for {name}" for name, ratios in named.items())
    record(
        "rank_vs_matmul_topk",
        median(worst),
        "ratio of seconds",
        f"the bare matrix product in chunks and torch.topk({TOP}), threads: {torch.get_num_threads()}, of a "
        f"float32 gallery in memory, taking turns; the gallery that is ranked is float16 in a memory map. "
        f"Ranks and average precision of 1 to {_MOST_RIGHT} right answers, a removed reference, {memory} MiB "
        f"of scores at once. Queries x images x dimension: {shown}; the larger ratio counts, median of "
        f"{pairs} pairs",
        f"{COMMAND} --pairs {pairs}",
        low=worst[0],
        high=worst[-1],
    )


if __name__ == "__main__":
    typer.run(main)
