import pytest

from pipeline.captions import run as blocks
from pipeline.captions.run import blocks_of


def test_blocks_hold_all_rows_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 3)
    assert list(blocks_of(range(7))) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(blocks_of(range(3))) == [[0, 1, 2]] and list(blocks_of([])) == []
