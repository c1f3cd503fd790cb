"""Which images of a gallery are traps of a query, by the scene graphs alone.

Three kinds: *twins* of the target (other images with the same graph), *other edits* (what other queries make
of the same reference), and *near misses* (one fact away from the target).
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence

from torch import Tensor

from pipeline.graph.scene_graph import GroupGraph
from trainer.retrieval.answers import pad_rows

TWINS, EDITS, NEAR = "twins of the target", "other edits of the reference", "scenes one fact from the target"
TRAPS = (TWINS, EDITS, NEAR)

Facts = frozenset[Hashable]


def facts(graph: GroupGraph) -> Facts:
    """Groups and relations; a relation names its two groups, so that their order does not matter."""
    relations = (
        ("relation", graph.groups[s].name, predicate, graph.groups[o].name)
        for s, predicate, o in graph.relations
    )
    return frozenset((*graph.groups, *relations))


def near_keys(own: Facts) -> Iterator[Facts]:
    """The set itself, and the set without each fact: two sets share a key where one fact differs."""
    yield own
    for fact in own:
        yield own - {fact}


def trap_indices(
    gallery_ids: Sequence[str],
    graphs: Mapping[str, GroupGraph],
    references: Sequence[str],
    targets: Sequence[str],
    right: Sequence[Sequence[str]],
) -> dict[str, Tensor]:
    """Gallery indices of the traps of every query, by kind: int64 (Q, T), padded with -1.

    A right answer is never a trap.

    Args:
        gallery_ids: N ids.
        graphs: of images, by id; an image without one is no twin and no near miss.
        references, targets: Q ids.
        right: the ids of every right answer, Q lists.
    """
    index = {image_id: number for number, image_id in enumerate(gallery_ids)}
    facts_of = {image_id: facts(graphs[image_id]) for image_id in gallery_ids if image_id in graphs}
    same, near, edits = defaultdict(set), defaultdict(set), defaultdict(set)
    for image_id, own in facts_of.items():
        same[own].add(image_id)
        for key in near_keys(own):
            near[key].add(image_id)
    for reference, target in zip(references, targets, strict=True):
        edits[reference].add(target)
    traps: dict[str, list[list[int]]] = {name: [] for name in TRAPS}
    for reference, target, answers in zip(references, targets, right, strict=True):
        twins, around = set(), set()
        if target in facts_of:
            twins = same[facts_of[target]]
            around = set().union(*(near[key] for key in near_keys(facts_of[target])))
        kinds = (twins, edits[reference], around - twins)
        for name, images in zip(TRAPS, kinds, strict=True):
            traps[name].append(sorted(index[image_id] for image_id in images - {*answers, target}))
    return {name: pad_rows(rows, least=1) for name, rows in traps.items()}
