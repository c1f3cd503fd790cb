"""How often the check judges as a second reader does; docs/method.md says these figures."""

from pathlib import Path

import pytest
import yaml

from pipeline.faithfulness.check import check, vocabulary_of
from tests.pipeline.faithfulness.test_registers import graph_of

WRITTEN = yaml.safe_load((Path(__file__).parent / "second_reader.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("half", "texts", "least"), [("seen", 189, 189), ("apart", 191, 191)])
def test_the_check_agrees_with_a_reader_who_knew_no_rule(half: str, texts: int, least: int) -> None:
    cases = [(graph_of(case["graph"]), case) for case in WRITTEN[half]]
    vocabulary = vocabulary_of(graph for graph, _ in cases)
    judged = [
        (check(text, graph, vocabulary).all_right == (kind == "right"), case["id"], text)
        for graph, case in cases
        for kind in ("right", "wrong")
        for text in case[kind]
    ]
    assert len(judged) == texts
    wrongly = [(name, text) for rightly, name, text in judged if not rightly]
    assert len(judged) - len(wrongly) >= least, wrongly
