"""How often the check judges as a sixth reader does, whose captions no rule was mended with.

This reader did not ask a caption to name the scene, so that fact is set aside here.
"""

from tests.pipeline.faithfulness.readers import cases, misjudged, texts_of

LEAST = 235  # judged rightly


def test_the_check_agrees_with_a_reader_whose_captions_it_never_met() -> None:
    judged = cases("sixth_reader")
    assert texts_of(judged) == {"right": 120, "wrong": 118}
    wrongly = misjudged(judged, scene=False)
    assert texts_of(judged).total() - len(wrongly) >= LEAST, wrongly
