"""How much of what a prefix cache could share it did share."""

from pipeline.captions.speed import Speed
from pipeline.llm.types import Result


def _rate(shared: int | None, *cached: int | None) -> float | None:
    speed = Speed(shared_tokens=shared)
    for i, tokens in enumerate(cached):
        speed.add(Result(str(i), "text", prompt_tokens=400, cached_tokens=tokens))
    return speed.prefix_hit_rate


def test_the_rate_is_over_all_rows_after_the_first() -> None:
    assert _rate(320, 0, 320, 320) == 1.0
    assert _rate(320, 0, 320, 0) == 0.5
    assert _rate(320, 0, 160, 320) == 0.75


def test_what_two_rows_share_beyond_the_head_of_all_does_not_count() -> None:
    assert _rate(320, 0, 384, 0) == 0.5


def test_where_nothing_can_be_shared_or_nothing_is_known_there_is_no_rate() -> None:
    assert _rate(0, 0, 32, 32) is None
    assert _rate(None, 0, 32, 32) is None
    assert _rate(320, 0) is None
    assert _rate(320, None, None) is None
