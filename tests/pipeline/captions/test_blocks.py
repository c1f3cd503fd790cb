import pytest

from pipeline.captions import run as blocks
from pipeline.captions.run import Repeatable, blocks_of


def test_blocks_hold_all_rows_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 3)
    assert list(blocks_of(range(7))) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(blocks_of(range(3))) == [[0, 1, 2]] and list(blocks_of([])) == []


@pytest.mark.parametrize(("size", "made"), [(0, 1), (3, 1), (4, 2)])
def test_few_items_are_made_once_and_many_again(
    monkeypatch: pytest.MonkeyPatch, size: int, made: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 3)
    calls = []
    source = Repeatable(lambda: (calls.append(None), range(size))[1])
    assert list(source) == list(source) == list(range(size))
    assert source.count == size and len(calls) == made


def test_what_was_not_gone_through_is_not_kept() -> None:
    source = Repeatable(lambda: range(3))
    assert next(iter(source)) == 0
    assert list(source) == [0, 1, 2]
