"""How often the check judges as a second reader does; docs/method.md says these figures."""

import pytest

from tests.pipeline.faithfulness.readers import cases, misjudged, texts_of


@pytest.mark.parametrize(("half", "texts", "least"), [("seen", 189, 189), ("apart", 191, 191)])
def test_the_check_agrees_with_a_reader_who_knew_no_rule(half: str, texts: int, least: int) -> None:
    judged = cases("second_reader", half)
    assert texts_of(judged).total() == texts
    wrongly = misjudged(judged)
    assert texts - len(wrongly) >= least, wrongly
