"""The check of modifications, against texts that were judged by hand."""

from collections import Counter

import pytest

from pipeline.faithfulness.check import vocabulary_of
from pipeline.pairs.check import ModificationChecker
from pipeline.pairs.difference import Change
from pipeline.pairs.wording import STYLES, worded
from tests.pipeline.pairs import judged

VOCABULARY = vocabulary_of([judged.REFERENCE, judged.OTHERS])


@pytest.mark.parametrize(
    ("changes", "text", "right"), judged.CASES, ids=[text for _, text, _ in judged.CASES]
)
def test_a_text_is_judged_as_by_hand(changes: tuple[Change, ...], text: str, right: bool) -> None:
    found = ModificationChecker(changes, judged.REFERENCE, VOCABULARY).check(text)
    assert found.all_right is right, found


def test_there_are_enough_cases_of_both_kinds() -> None:
    counts = Counter(right for *_, right in judged.CASES)
    assert counts[True] >= 40 and counts[False] >= 40


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("changes", sorted({changes for changes, *_ in judged.CASES}, key=repr))
def test_what_the_rules_write_is_right(changes: tuple[Change, ...], style: str) -> None:
    checker = ModificationChecker(changes, judged.REFERENCE, VOCABULARY)
    assert checker.checkable
    text = worded(changes, style)
    assert checker.check(text).all_right, text


CLEAR = (*judged.REMOVE, *judged.REMOVE_HANGAR, *judged.ADD, *judged.ADD_MORE)
GONE = "the two red cars at the left and the white hangar at the center"
NEW = "one round pond at the bottom and four large blue buildings at the top"
TOGETHER = {
    "command": f"remove {GONE} and add {NEW}",
    "wish": f"I would like {GONE} to be gone and {NEW} to be added",
    "comparison": f"the same but without {GONE} and with {NEW} added",
}


@pytest.mark.parametrize(("style", "text"), TOGETHER.items())
def test_groups_that_go_or_come_are_said_together(style: str, text: str) -> None:
    assert worded(CLEAR, style) == text
    checker = ModificationChecker(CLEAR, judged.REFERENCE, VOCABULARY)
    assert checker.check(text).all_right
    turned = text.replace(GONE, "*").replace(NEW, GONE).replace("*", NEW)
    assert turned != text and not checker.check(turned).all_right
