import pytest
import torch

from tests.trainer.cases import random_answers, right_sets
from trainer.retrieval.answers import index_mask, make_answers


def test_index_mask_marks_the_indices_and_nothing_for_padding() -> None:
    mask = index_mask(torch.tensor([[2, -1], [0, 2], [-1, -1]]), 3)
    assert mask.tolist() == [[False, False, True], [True, False, True], [False, False, False]]


def test_masks_agree_with_loops() -> None:
    answers = random_answers(9, 12, 0)
    right, removed, ignored = answers.right_mask(), answers.removed_mask(), answers.ignored_mask()
    for q, (targets, aim, out) in enumerate(
        zip(right_sets(answers), answers.target.tolist(), answers.removed.tolist(), strict=True)
    ):
        for t in range(12):
            assert right[q, t].item() == (t in targets)
            assert removed[q, t].item() == (t == out)
            assert ignored[q, t].item() == ((t in targets and t != aim) or t == out)


def test_a_kept_reference_is_a_negative() -> None:
    assert not make_answers([1], [[1]], [-1], 3).ignored_mask().any()


def test_a_removed_reference_is_no_right_answer() -> None:
    answers = make_answers([1], [[0, 1]], [0], 3)
    assert answers.right.tolist() == [[1]]


@pytest.mark.parametrize(("target", "right", "removed"), [(0, [0], 0), (2, [0, 1], -1)])
def test_a_query_without_its_target_is_refused(target: int, right: list[int], removed: int) -> None:
    with pytest.raises(ValueError, match="query 0"):
        make_answers([target], [right], [removed], 3)
