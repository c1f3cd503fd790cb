"""Captions judged by hand, in the registers of language models: prose, echoes, refusals, guesses, loops."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.faithfulness.check import check, vocabulary_of
from pipeline.graph.scene_graph import Group, GroupGraph


def graph_of(written: Mapping[str, Any]) -> GroupGraph:
    """A graph as the files write it: groups [quantity, name, attributes, position], relations by index."""
    groups = tuple(Group(q or "", name, tuple(looks), place) for q, name, looks, place in written["groups"])
    return GroupGraph(written["scene"], groups, tuple(map(tuple, written["relations"])))


WRITTEN = yaml.safe_load((Path(__file__).parent / "registers.yaml").read_text(encoding="utf-8"))
GRAPHS = [graph_of(case["graph"]) for case in WRITTEN["cases"]]
VOCABULARY = vocabulary_of([*GRAPHS, *map(graph_of, WRITTEN["others"])])
RIGHT, WRONG = (
    [(graph, text) for graph, case in zip(GRAPHS, WRITTEN["cases"], strict=True) for text in case[kind]]
    for kind in ("right", "wrong")
)


@pytest.mark.parametrize(("graph", "text"), RIGHT, ids=[text for _, text in RIGHT])
def test_right_captions_pass(graph: GroupGraph, text: str) -> None:
    found = check(text, graph, VOCABULARY)
    assert (found.missed, found.invented) == ((), ())


@pytest.mark.parametrize(("graph", "text"), WRONG, ids=[text for _, text in WRONG])
def test_wrong_captions_are_caught(graph: GroupGraph, text: str) -> None:
    assert not check(text, graph, VOCABULARY).all_right
