"""Captions judged by hand, in the registers of language models: prose, echoes, refusals, guesses, loops."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.faithfulness.check import Vocabulary, check, vocabulary_of
from pipeline.graph.scene_graph import Group, GroupGraph


def graph_of(written: Mapping[str, Any]) -> GroupGraph:
    """A graph as the files write it: groups [quantity, name, attributes, position], relations by index."""
    groups = tuple(Group(q or "", name, tuple(looks), place) for q, name, looks, place in written["groups"])
    return GroupGraph(written["scene"], groups, tuple(map(tuple, written["relations"])))


Case = tuple[Vocabulary, GroupGraph, str]  # a caption and its graph; the words of all graphs of its file


def cases_of(file: str, kind: str) -> list[Case]:
    """The captions that a file holds as right, or as wrong."""
    written = yaml.safe_load((Path(__file__).parent / file).read_text(encoding="utf-8"))
    graphs = [graph_of(case["graph"]) for case in written["cases"]]
    vocabulary = vocabulary_of([*graphs, *map(graph_of, written["others"])])
    return [
        (vocabulary, graph, text)
        for graph, case in zip(graphs, written["cases"], strict=True)
        for text in case[kind]
    ]


RIGHT, WRONG = (
    [case for file in ("registers.yaml", "clauses.yaml", "sentences.yaml") for case in cases_of(file, kind)]
    for kind in ("right", "wrong")
)


@pytest.mark.parametrize(("vocabulary", "graph", "text"), RIGHT, ids=[text for *_, text in RIGHT])
def test_right_captions_pass(vocabulary: Vocabulary, graph: GroupGraph, text: str) -> None:
    found = check(text, graph, vocabulary)
    assert (found.missed, found.invented) == ((), ())


@pytest.mark.parametrize(("vocabulary", "graph", "text"), WRONG, ids=[text for *_, text in WRONG])
def test_wrong_captions_are_caught(vocabulary: Vocabulary, graph: GroupGraph, text: str) -> None:
    assert not check(text, graph, vocabulary).all_right
