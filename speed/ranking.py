"""Ranking against the bare matrix product and top-k, and against faiss where that is installed.

Queries and galleries are random. The gallery that is ranked lies in a memory map, as float16; that of the
others lies in memory, as float32.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.params import load_params
from speed.figures import Figure, Run, in_turns, ratio, seconds
from trainer.retrieval.answers import Answers, make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import TOP, dot_scores, queries_at_once, rank_all

SHAPES = ((500, 200_000, 512), (2_000, 400_000, 768))  # queries, images, dimension
_TINY = ((20, 300, 16), (20, 600, 32))
_PEERS = {
    "rank_vs_matmul_topk": ("bare", f"the bare matrix product in chunks and torch.topk({TOP}) of a float32"),
    "rank_vs_faiss_flat": (
        "faiss",
        f"faiss.IndexFlatIP, the best {TOP} of all queries at once, of a float32",
    ),
}
_MOST_RIGHT = 4
_BLOCK = 8192


def measure(run: Run) -> dict[str, Figure]:
    memory = load_params(run.root / "params.yaml").speed.rank_mib
    shapes = _TINY if run.quick else SHAPES
    spent = {shape: _compare(shape, memory, run) for shape in shapes}
    return {
        name: _figure(peer, what, spent, memory)
        for name, (peer, what) in _PEERS.items()
        if all(peer in sides for sides in spent.values())
    }


def _figure(
    peer: str, what: str, spent: dict[tuple[int, int, int], dict[str, list[float]]], memory: int
) -> Figure:
    """The larger ratio of all shapes counts."""
    ratios = {
        shape: ratio(sides["rank"], sides[peer], "ratio of seconds", "") for shape, sides in spent.items()
    }
    worst = max(ratios.values(), key=lambda figure: figure.value)
    shown = ", ".join(f"{of.value:.3f} for {' x '.join(map(str, shape))}" for shape, of in ratios.items())
    seconds_of = ", ".join(f"{median(sides['rank']):.1f} s" for sides in spent.values())
    against = (
        f"{what} gallery in memory, threads: {torch.get_num_threads()}, in turns. What is ranked is float16 "
        f"in a memory map: ranks and average precision of 1 to {_MOST_RIGHT} right answers, a removed "
        f"reference, {memory} MiB of scores at once. Queries x images x dimension: {shown} ({seconds_of}); "
        f"the larger ratio counts, median of {len(next(iter(spent.values()))['rank'])} pairs"
    )
    return Figure(worst.value, worst.unit, against, worst.low, worst.high)


def _compare(shape: tuple[int, int, int], memory: int, run: Run) -> dict[str, list[float]]:
    """Seconds of each side in each turn."""
    queries_size, images, dimension = shape
    gallery = _gallery(run.folder / f"{images}.npy", images, dimension)
    answers, chunk = _answers(queries_size, images), queries_at_once(images, memory)
    queries = torch.randn(queries_size, dimension, generator=torch.Generator().manual_seed(2))
    in_memory = gallery[:]
    sides: dict[str, Callable[[], object]] = {
        "rank": lambda: rank_all(dot_scores(queries, gallery), answers, chunk=chunk),
        "bare": lambda: _bare(queries, in_memory, chunk),
    }
    if find_spec("faiss"):
        index, rows = _faiss(in_memory), queries.numpy()
        sides["faiss"] = lambda: index.search(rows, TOP)
    _bare(queries[:chunk], in_memory, chunk)  # warms up
    return in_turns(
        {name: lambda work=work: seconds(work) for name, work in sides.items()},  # type: ignore[misc]
        run.turns,
    )


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


def _faiss(gallery: Tensor) -> Any:
    faiss = import_module("faiss")

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery.numpy())
    return index
