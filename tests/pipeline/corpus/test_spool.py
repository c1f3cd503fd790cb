"""Values grouped by key on disk."""

import pytest

from pipeline.base.errors import UserError
from pipeline.corpus import spool
from pipeline.corpus.spool import Spool


def test_values_come_by_key_in_their_order() -> None:
    kept = Spool()
    for number, key in enumerate("abacab"):
        assert kept.add(key, [number, "é\u2028", None])
    assert [number for number, *_ in kept.take("a")] == [0, 2, 4] and kept.take("x") == []
    assert [(key, value[0]) for key, value in kept.left()] == [("b", 1), ("c", 3), ("b", 5)]
    assert [value[0] for _, value in kept.entries()] == list(range(6))
    kept.close()


def test_an_id_is_kept_once() -> None:
    kept = Spool()
    assert kept.add("a", 1, "x") and not kept.add("b", 2, "x") and kept.add("b", 3, None) and kept.add("b", 4)
    assert (kept.take("a"), kept.take("b")) == ([1], [3, 4])
    kept.close()


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_START", spool._START + "PRAGMA max_page_count = 20;")
    kept = Spool()
    with pytest.raises(UserError, match="cannot grow") as caught:
        for number in range(10_000):
            kept.add(str(number), "x" * 100)
    assert caught.value.problem.file and "TMPDIR" in caught.value.problem.remedy
    kept.close()
