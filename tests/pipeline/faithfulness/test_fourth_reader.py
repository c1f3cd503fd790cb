"""How often the check judges as a fourth reader does, whose captions no rule was mended with."""

from tests.pipeline.faithfulness.readers import cases, misjudged, texts_of

LEAST = 231  # judged rightly


def test_the_check_agrees_with_a_reader_whose_captions_it_never_met() -> None:
    judged = cases("fourth_reader")
    assert texts_of(judged) == {"right": 113, "wrong": 126}
    wrongly = misjudged(judged)
    assert texts_of(judged).total() - len(wrongly) >= LEAST, wrongly
    assert all(kind == "right" for kind, _, _ in wrongly), "a wrong caption passes"
