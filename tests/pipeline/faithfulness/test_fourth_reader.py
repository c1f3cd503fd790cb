"""How often the check judges as a fourth reader does, whose captions no rule was mended with."""

from pathlib import Path

import yaml

from pipeline.faithfulness.check import check, vocabulary_of
from tests.pipeline.faithfulness.test_registers import graph_of

CASES = yaml.safe_load((Path(__file__).parent / "fourth_reader.yaml").read_text(encoding="utf-8"))["cases"]
TEXTS = {"right": 113, "wrong": 126}
LEAST = 231  # judged rightly


def test_the_check_agrees_with_a_reader_whose_captions_it_never_met() -> None:
    graphs = [graph_of(case["graph"]) for case in CASES]
    vocabulary = vocabulary_of(graphs)
    judged = [
        (check(text, graph, vocabulary).all_right == (kind == "right"), kind, case["id"], text)
        for graph, case in zip(graphs, CASES, strict=True)
        for kind in TEXTS
        for text in case[kind]
    ]
    assert {kind: sum(of == kind for _, of, _, _ in judged) for kind in TEXTS} == TEXTS
    wrongly = [row[1:] for row in judged if not row[0]]
    assert len(judged) - len(wrongly) >= LEAST, wrongly
    assert all(kind == "right" for kind, _, _ in wrongly), "a wrong caption passes"
