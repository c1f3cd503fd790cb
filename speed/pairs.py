"""python -m speed.pairs

Measures how long queries are sought among 100,000 scene graphs, and the memory that takes; on one core.
"""

import random
import resource
import time
from typing import Annotated

import typer

from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph
from pipeline.pairs.choosing import Image, choose
from pipeline.pairs.index import GraphIndex
from speed.results import record

COMMAND = "python -m speed.pairs"
_NAMES = ("car", "airplane", "hangar", "tank", "tree", "court", "boat", "house")
_CELLS = [cell for row in POSITIONS for cell in row]


def random_graph(rng: random.Random) -> GroupGraph:
    """A graph of one to nine groups of eight names in nine places, few objects more often than many."""
    groups: dict[tuple[str, str, bool], Group] = {}
    for _ in range(rng.randint(1, 9)):
        name, cell, small = (
            rng.choice(_NAMES[: rng.choice((2, 4, 8))]),
            rng.choice(_CELLS),
            rng.random() < 0.2,
        )
        count = str(min(9, int(rng.expovariate(0.7)) + 1))
        groups[name, cell, small] = Group(count, name, ("small",) * small, cell)
    relations = ((0, "next to", 1),) if len(groups) > 1 and rng.random() < 0.4 else ()
    return GroupGraph(None, tuple(groups.values()), relations)


def main(images: Annotated[int, typer.Option(min=10, help="Images.")] = 100_000) -> None:
    """Measure, and write speed/results.json."""
    rng, splits = random.Random(0), ("train", "val", "test")
    graphs = [random_graph(rng) for _ in range(images)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    index = GraphIndex(0, 3)
    for number, graph in enumerate(graphs):
        index.add((splits[number % 3],), graph)
    of_index = [Image(f"image-{number}", splits[number % 3], None) for number in range(images)]
    choice = choose(index, of_index, seed=0, per_image=2, most=2000)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    against = (
        f"minutes: {images} random graphs of 1 to 9 groups, {len(index.entries)} of them different; "
        f"{choice.found} ordered pairs of up to 3 facts found, {len(choice.queries)} queries chosen; one core"
    )
    record("pairs_seconds", seconds, "seconds", against, COMMAND)
    record("pairs_memory", grown, "MB", f"the graphs themselves apart; {images} graphs", COMMAND)


if __name__ == "__main__":
    typer.run(main)
