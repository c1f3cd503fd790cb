"""The check judges as a fourth reader does, whose captions its rules were mended with; see docs/method.md."""

from tests.pipeline.faithfulness.readers import cases, misjudged, texts_of


def test_the_check_agrees_with_the_fourth_reader() -> None:
    judged = cases("fourth_reader")
    assert texts_of(judged) == {"right": 113, "wrong": 126}
    assert misjudged(judged) == []
