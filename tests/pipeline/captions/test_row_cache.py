"""The rules of the row cache: what answers what, what is kept, what survives."""

import hashlib
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.files import canonical_json
from pipeline.captions import row_cache
from pipeline.captions.row_cache import Entry, RowCache, row_key, seed_of
from pipeline.llm.types import Result, Sampling

MESSAGES = [{"role": "user", "content": "a graph"}]
GREEDY = Sampling.of(0.0, 1.0, 0)
WARM = Sampling.of(0.7, 0.9, 0)


def _entry(key: str, text: str | None = "a text", **changes: object) -> Entry:
    entry = Entry(
        key=key,
        row_key=key,
        model="m",
        prompt_hash="p",
        max_tokens=50,
        text=text,
        error=None if text is not None else "broken",
        permanent=False,
        tries=0 if text is not None else 1,
        finish_reason="stop" if text is not None else None,
        prompt_tokens=7,
        output_tokens=20 if text is not None else None,
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def _cut(key: str, at: int) -> Entry:
    return _entry(key, "a te", finish_reason="length", output_tokens=at, max_tokens=at)


@pytest.fixture
def cache(tmp_path: Path) -> RowCache:
    return RowCache(tmp_path / "llm")


def test_a_text_answers_every_limit_it_stopped_within(cache: RowCache) -> None:
    cache.add([_entry("k")])
    for limit in (20, 21, 50, 1000):
        assert cache.lookup(["k"], limit)["k"].text == "a text"
    assert cache.lookup(["k"], 19) == {}


def test_a_cut_text_answers_only_the_limit_that_cut_it(cache: RowCache) -> None:
    cache.add([_cut("k", 16)])
    assert cache.lookup(["k"], 16)["k"].finish_reason == "length"
    assert cache.lookup(["k"], 15) == {} and cache.lookup(["k"], 17) == {}


def test_raising_the_limit_and_going_back_find_both_texts(cache: RowCache) -> None:
    cache.add([_cut("k", 16)])
    cache.add([_entry("k", "the whole text")])
    assert cache.lookup(["k"], 16)["k"].text == "a te"
    assert cache.lookup(["k"], 50)["k"].text == "the whole text"


def test_only_the_keys_asked_for_come_back(cache: RowCache) -> None:
    cache.add([_entry(f"k{i}", f"text {i}") for i in range(1000)])
    found = cache.lookup(["k5", "k700", "none"], 50)
    assert {key: entry.text for key, entry in found.items()} == {"k5": "text 5", "k700": "text 700"}
    assert cache.lookup([], 50) == {}


def test_failures_are_found_with_their_number_until_a_text_comes(cache: RowCache) -> None:
    result = Result("k", error="broken")
    first = Entry.of(result, row_key="k", model="m", prompt_hash="p", max_tokens=50, failures=0)
    second = Entry.of(result, row_key="k", model="m", prompt_hash="p", max_tokens=50, failures=first.tries)
    cache.add([second])
    cache.add([first])
    assert cache.lookup(["k"], 50)["k"].tries == 2
    cache.add([_entry("k")])
    assert cache.lookup(["k"], 50)["k"].text == "a text"
    assert cache.lookup(["k"], 10)["k"].failed


def test_two_texts_of_one_key_are_settled_without_the_order_of_parts(tmp_path: Path) -> None:
    texts = []
    for order in ((0, 1), (1, 0)):
        cache = RowCache(tmp_path / str(order))
        for i in order:
            cache.add([_entry("k", f"text {i}")])
        texts.append(cache.lookup(["k"], 50)["k"].text)
    assert texts[0] == texts[1]


def test_merging_parts_loses_nothing_and_counts_nothing_twice(
    cache: RowCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache, "MERGE_ABOVE_PARTS", 4)
    for i in range(10):
        cache.add([_entry(f"k{i}", f"text {i}"), _entry("failing", None, tries=1 + i)])
    before = cache.lookup([*(f"k{i}" for i in range(10)), "failing"], 50)
    cache.merge()
    assert len(cache.parts()) == 1
    assert cache.lookup([*(f"k{i}" for i in range(10)), "failing"], 50) == before
    assert before["failing"].tries == 10


def test_a_merge_that_is_killed_before_it_deletes_changes_nothing(
    cache: RowCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_cache, "MERGE_ABOVE_PARTS", 0)
    cache.add([_entry("a")])
    cache.add([_entry("b", None)])
    before = cache.lookup(["a", "b"], 50)
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
    cache.merge()
    assert len(cache.parts()) > 1 and cache.lookup(["a", "b"], 50) == before


def test_entries_are_found_in_every_group_of_rows_of_a_part(cache: RowCache) -> None:
    cache.add([_entry(f"k{number:05}", f"text {number}") for number in range(9000)])
    for number in (0, 8191, 8192, 8999):
        (key,) = cache.lookup([f"k{number:05}"], 50).values()
        assert key.text == f"text {number}"


def test_a_part_that_another_process_merges_meanwhile_is_no_fault(
    cache: RowCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add([_entry("a")])
    cache.add([_entry("b")])
    first = min(cache.folder.glob("*.parquet"))
    whole = row_cache.is_whole

    def gone(part: Path) -> bool:
        first.unlink(missing_ok=True)
        return whole(part)

    monkeypatch.setattr(row_cache, "is_whole", gone)
    other = RowCache(cache.folder)
    (left,) = other.parts()
    assert left != first and other.damaged == 0
    left.rename(left.with_suffix(".away"))
    monkeypatch.setattr(other, "parts", lambda: [left])
    assert other.size() == 0


def test_what_a_killed_writer_left_is_no_part_and_is_cleared(cache: RowCache) -> None:
    left = cache.folder / ".x.parquet.1.tmp"
    left.mkdir(parents=True)
    (left / "x.parquet").write_bytes(b"half")
    assert not cache.lookup(["a"], 50)
    cache.merge()
    assert not left.exists()


def test_pruning_keeps_all_attempts_of_the_rows_in_use(cache: RowCache) -> None:
    cache.add([_entry("a"), _entry("a2", row_key="a"), _entry("b")])
    cache.add([_entry("c")])
    assert cache.prune({"a"}) == (2, 2)
    assert set(cache.lookup(["a", "a2", "b", "c"], 50)) == {"a", "a2"}


def test_the_summary_counts_by_model_and_prompt(cache: RowCache) -> None:
    cache.add([_entry("a"), _cut("b", 5), _entry("c", None), _entry("d", model="n")])
    assert cache.summary() == [
        {"model": "m", "prompt_hash": "p", "texts": 2, "truncated": 1, "failures": 1},
        {"model": "n", "prompt_hash": "p", "texts": 1, "truncated": 0, "failures": 0},
    ]


def test_a_damaged_part_is_counted_and_set_aside_and_the_others_answer(cache: RowCache) -> None:
    cache.add([_entry("a")])
    (first,) = cache.parts()
    cache.add([_entry("b")])
    whole = first.read_bytes()
    for place in range(0, len(whole), 97):
        first.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        opened = RowCache(cache.folder)
        assert set(opened.lookup(["a", "b"], 50)) == {"b"} and opened.damaged == 1
        assert set(RowCache(cache.folder).lookup(["a", "b"], 50)) == {"b"}
    first.write_bytes(whole)
    assert set(RowCache(cache.folder).lookup(["a", "b"], 50)) == {"a", "b"}
    assert list(cache.folder.glob("*.damaged"))
    assert cache.prune({"a", "b"}) == (2, 0)
    assert not list(cache.folder.glob("*.damaged"))


@pytest.mark.parametrize("use", [RowCache.merge, RowCache.summary, RowCache.size])
def test_a_damaged_part_stops_nothing(cache: RowCache, use: Callable[[RowCache], object]) -> None:
    cache.add([_entry("a")])
    (cache.folder / f"{'0' * 64}.parquet").write_bytes(b"PAR1 no")
    (cache.folder / f"{'1' * 64}.parquet").mkdir()
    (cache.folder / f"{'2' * 64}.parquet").symlink_to("nowhere")
    use(cache)
    assert cache.damaged == 3 and len(cache.parts()) == 1


def test_parts_of_an_earlier_version_are_read(cache: RowCache) -> None:
    cache.add([_entry("a")])
    (part,) = cache.parts()
    part.rename(part.with_name("0123456789abcdef0123456789abcdef.parquet"))
    (cache.folder / "bad.parquet").write_bytes(b"PAR1 no")
    opened = RowCache(cache.folder)
    assert set(opened.lookup(["a"], 50)) == {"a"} and opened.damaged == 1


def test_a_part_that_is_merged_alone_stays(cache: RowCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "MERGE_ABOVE_PARTS", 0)
    cache.add([_entry("a")])
    cache.merge()
    assert set(cache.lookup(["a"], 50)) == {"a"}


def _add_many(folder: Path, worker: int) -> None:
    cache = RowCache(folder)
    for i in range(20):
        cache.add([_entry(f"{worker}-{i}"), _entry(f"shared-{i}")])
        cache.merge()


def test_processes_may_write_and_merge_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "MERGE_ABOVE_PARTS", 3)
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_many, args=(tmp_path, i)) for i in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    keys = [f"{w}-{i}" for w in range(3) for i in range(20)] + [f"shared-{i}" for i in range(20)]
    assert set(RowCache(tmp_path).lookup(keys, 50)) == set(keys)


def test_a_key_depends_on_all_that_decides_a_text() -> None:
    base = row_key({"m": 1}, MESSAGES, WARM)
    others = [
        row_key({"m": 2}, MESSAGES, WARM),
        row_key({"m": 1}, [{"role": "user", "content": "another"}], WARM),
        row_key({"m": 1}, MESSAGES, GREEDY),
        row_key({"m": 1}, MESSAGES, Sampling.of(0.7, 0.8, 0)),
        row_key({"m": 1}, MESSAGES, Sampling.of(0.7, 0.9, 1)),
        row_key({"m": 1}, MESSAGES, WARM, output_schema={"type": "object"}),
        row_key({"m": 1}, MESSAGES, WARM, attempt=1),
    ]
    assert len({base, *others}) == 8
    assert base == row_key({"m": 1}, [dict(reversed(MESSAGES[0].items()))], WARM)


def test_further_sampling_is_in_a_key_where_it_changes_the_text() -> None:
    def key(temperature: float, **further: object) -> str:
        return row_key({"m": 1}, MESSAGES, Sampling.of(temperature, 0.9, 0, further))

    warm = [
        {},
        {"top_k": 5},
        {"min_p": 0.1},
        {"stop": "x"},
        {"repetition_penalty": 1.1},
        {"bad_words": ["x"]},
    ]
    assert len({key(0.7, **further) for further in warm}) == len(warm)
    assert key(0.7, stop="x") == key(0.7, stop=["x", "x"])
    assert key(0, top_k=5, min_p=0.1) == key(0) != key(0, stop="x")


def test_a_key_without_it_is_the_one_of_texts_that_are_stored_already() -> None:
    content = {
        "model": {"m": 1}, "messages": MESSAGES, "temperature": 0.7, "top_p": 0.9, "seed": 0,
        "output_schema": None,
    }  # fmt: skip
    stored = hashlib.sha256(canonical_json(content).encode()).hexdigest()
    neutral = {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1, "stop": []}
    assert row_key({"m": 1}, MESSAGES, Sampling.of(0.7, 0.9, 0, neutral)) == stored


def test_greedy_decoding_has_no_seed() -> None:
    assert row_key({}, MESSAGES, Sampling.of(0, 0.5, 1)) == row_key({}, MESSAGES, Sampling.of(0.0, 1.0, 2))


def test_seeds_come_from_keys() -> None:
    assert seed_of("ffffffff00") == 0x7FFFFFFF and seed_of("00000001aa") == 1
