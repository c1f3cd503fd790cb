"""Captions that readers have judged by hand, and what the check says of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipeline.faithfulness.check import Check, check, vocabulary_of
from tests.pipeline.faithfulness.test_registers import graph_of

KINDS = ("right", "wrong")
Case = Mapping[str, Any]


class Misjudged(NamedTuple):
    """A caption of which the check says something else than its reader."""

    kind: str
    case: str
    text: str


def cases(reader: str, part: str = "cases") -> list[Case]:
    """The cases in the file of a reader."""
    return yaml.safe_load((Path(__file__).parent / f"{reader}.yaml").read_text(encoding="utf-8"))[part]


def texts_of(judged: Sequence[Case]) -> Counter[str]:
    """How many captions of each kind there are."""
    return Counter({kind: sum(len(case[kind]) for case in judged) for kind in KINDS})


def misjudged(judged: Sequence[Case], scene: bool = True) -> list[Misjudged]:
    """The captions on which the check and the reader disagree; the graphs are one dataset.

    Args:
        scene: whether the reader asked a caption to name the scene, as the check does.
    """
    graphs = [graph_of(case["graph"]) for case in judged]
    vocabulary = vocabulary_of(graphs)
    return [
        Misjudged(kind, case["id"], text)
        for graph, case in zip(graphs, judged, strict=True)
        for kind in KINDS
        for text in case[kind]
        if _all_right(check(text, graph, vocabulary), scene) != (kind == "right")
    ]


def _all_right(found: Check, scene: bool) -> bool:
    missed = [fact for fact in found.missed if scene or not fact.startswith("scene ")]
    return not (missed or found.invented)
