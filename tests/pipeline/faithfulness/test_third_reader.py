"""The check judges as a third reader does, whose captions its rules were mended with; see docs/method.md."""

from tests.pipeline.faithfulness.readers import cases, misjudged, texts_of


def test_the_check_agrees_with_the_third_reader() -> None:
    judged = cases("third_reader")
    assert texts_of(judged) == {"right": 200, "wrong": 241}
    assert misjudged(judged) == []
