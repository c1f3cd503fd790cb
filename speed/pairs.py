"""How long queries are sought among 100,000 scene graphs, and the memory that takes; on one core."""

import random
import resource
from itertools import combinations
from statistics import median

from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph
from pipeline.pairs.choosing import Choice, Image, choose
from pipeline.pairs.difference import difference
from pipeline.pairs.index import GraphIndex
from speed.figures import Figure, Run, in_turns, seconds, spread

SPLITS, MOST_FACTS = ("train", "val", "test"), 3
_NAMES = ("car", "airplane", "hangar", "tank", "tree", "court", "boat", "house")
_CELLS = [cell for row in POSITIONS for cell in row]


def measure(run: Run) -> dict[str, Figure]:
    rng, images, few = random.Random(0), run.size(100_000, 300), run.size(300, 10)
    graphs = [random_graph(rng) for _ in range(images)]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index, choice = _sought(graphs)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    entries, found, chosen = len(index.entries), choice.found, len(choice.queries)
    del index, choice
    compared = [(graphs[one], graphs[other]) for one, other in combinations(range(few), 2)]
    turns = run.size(3, 1)
    spent = in_turns(
        {
            "index": lambda: seconds(lambda: _sought(graphs)),
            "every pair of a few": lambda: seconds(
                lambda: [difference(one, other, MOST_FACTS) for one, other in compared]
            ),
        },
        turns,
    )
    each = median(spent["every pair of a few"]) / len(compared)
    hours = each * len(SPLITS) * (images / len(SPLITS)) ** 2 / 3600  # each pair in both directions
    against = (
        f"every pair of a split compared, which would take {hours:.2g} hours by the time of {len(compared)} "
        f"pairs, in turns. {images} random graphs of 1 to 9 groups, {entries} of them different; {found} "
        f"ordered pairs of up to {MOST_FACTS} facts found, {chosen} queries chosen; one core; median of "
        f"{turns}, since one takes about a minute"
    )
    memory = f"the graphs themselves apart; {images} graphs; measured once, in a process of its own"
    return {
        "pairs_100k_seconds": spread(spent["index"], "seconds", against),
        "pairs_100k_mb": Figure(grown, "MB", memory),
    }


def _sought(graphs: list[GroupGraph]) -> tuple[GraphIndex, Choice]:
    index = GraphIndex(0, MOST_FACTS)
    for number, graph in enumerate(graphs):
        index.add((SPLITS[number % 3],), graph)
    images = [Image(f"image-{number}", SPLITS[number % 3], None) for number in range(len(graphs))]
    return index, choose(index, images, seed=0, per_image=2, most=2000)


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
