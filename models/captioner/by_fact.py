"""What share of facts the captions of a job state, by kind of fact.

    python -m models.captioner.by_fact airplane tennis mixed

Reads the tables of the last run in the working folder; of pseudo captions only the test split.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.contracts import INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS, read_table
from pipeline.paths import Paths
from pipeline.scene_graph import (
    POSITIONS,
    GroupGraph,
    apply_edits,
    edits_from_row,
    graph_from_row,
    group_objects,
)

KINDS = ("object", "number", "attribute", "position", "relation", "scene")
_CELLS = "|".join(sorted((cell for row in POSITIONS for cell in row), key=len, reverse=True))


def expected(graph: GroupGraph) -> Counter[str]:
    """How many facts of each kind a caption of this graph must state."""
    groups = graph.groups
    return Counter(
        {
            "object": len(groups),
            "number": sum(bool(group.quantity) for group in groups),
            "attribute": sum(len(group.attributes) for group in groups),
            "position": sum(group.position is not None for group in groups),
            "relation": len(graph.relations),
            "scene": int(graph.scene is not None),
        }
    )


def kind_of(fact: str, graph: GroupGraph) -> str:
    """The kind of one of `missed`, as `pipeline.faithfulness` writes it of this graph."""
    names = {group.name for group in graph.groups}
    if fact in names:
        return "object"
    if fact == f"scene {graph.scene}":
        return "scene"
    if any(fact == f"{group.quantity} {group.name}" for group in graph.groups if group.quantity):
        return "number"
    if (found := re.fullmatch(f"(.+) at ({_CELLS})", fact)) and found[1] in names:
        return "position"
    if any(fact == f"{a} {group.name}" for group in graph.groups for a in group.attributes):
        return "attribute"
    return "relation"


def said(rows: Iterable[tuple[GroupGraph, list[str]]]) -> dict[str, tuple[int, int]]:
    """{kind: facts stated, facts expected} of captions, each the graph it must state and what it missed."""
    wanted: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for graph, facts in rows:
        wanted += expected(graph)
        missed.update(kind_of(fact, graph) for fact in facts)
    return {kind: (wanted[kind] - missed[kind], wanted[kind]) for kind in KINDS if wanted[kind]}


def _interpretations(dataset: str, paths: Paths) -> Iterator[tuple[GroupGraph, list[str]]]:
    graphs = _graphs(dataset, paths)
    for row in read_table(paths.interpretations(dataset), INTERPRETATIONS).to_pylist():
        yield graphs[row["image_id"]], row["missed"]


def _pseudo_captions(dataset: str, paths: Paths) -> Iterator[tuple[GroupGraph, list[str]]]:
    graphs = _graphs(dataset, paths)
    captions = read_table(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS).to_pylist()
    missed = {row["query_id"]: row["missed"] for row in captions}
    for query in read_table(paths.queries(dataset), QUERIES).to_pylist():
        edits = edits_from_row(query["edits"])
        if query["split"] == "test" and edits is not None:
            yield apply_edits(graphs[query["reference_id"]], edits), missed[query["query_id"]]


def _graphs(dataset: str, paths: Paths) -> dict[str, GroupGraph]:
    rows = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+")
    paths = Paths(Path.cwd())
    for dataset in parser.parse_args().datasets:
        for name, rows in (("interpretations", _interpretations), ("pseudo captions", _pseudo_captions)):
            shares = said(rows(dataset, paths)).items()
            told = ", ".join(f"{kind} {100 * right / of:.2f}" for kind, (right, of) in shares)
            print(f"{dataset}, {name}, percent of facts stated: {told}")


if __name__ == "__main__":
    main()
