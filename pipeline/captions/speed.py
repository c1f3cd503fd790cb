"""How fast a language stage ran: the figures of `metrics/speed/<stage>.json`, which vary from run to run."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.llm.types import Result


@dataclass
class Speed:
    """Counters of a run, and where its time went.

    `seconds` are by activity: engine_start, generate, cache, checking. `shared_tokens` is how many tokens of
    each prompt a prefix cache could share between all rows, and `effective` the engine's arguments; both are
    None where they are not known or no engine was opened.
    """

    generated: int = 0
    cache_hits: int = 0
    kept_rows: int = 0  # taken as an earlier run wrote them
    output_tokens: int = 0
    cached_tokens: Counter[int] = field(default_factory=Counter)  # rows by tokens from the prefix cache
    shared_tokens: int | None = None
    effective: dict[str, Any] | None = None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def timed(self, activity: str) -> Iterator[None]:
        since = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[activity] += time.perf_counter() - since

    def add(self, result: Result) -> None:
        """Count what an engine generated."""
        self.generated += 1
        self.output_tokens += result.output_tokens or 0
        if result.cached_tokens is not None:
            self.cached_tokens[result.cached_tokens] += 1

    @property
    def prefix_hit_rate(self) -> float | None:
        """Share of the common head's tokens that came from the prefix cache, over all rows after the first.

        Tokens that only some rows share (two queries of one image) do not count. None where all rows share no
        tokens, or where their number is not known.
        """
        later = self.cached_tokens.total() - 1
        if not self.shared_tokens or later < 1:
            return None
        hits = sum(min(cached, self.shared_tokens) * rows for cached, rows in self.cached_tokens.items())
        return min(1.0, hits / (later * self.shared_tokens))

    def figures(self, seconds: float) -> dict[str, Any]:
        """The figures of the metrics file; `seconds` is the wall time of the whole stage."""
        activities = ("engine_start", "generate", "cache", "checking")
        busy = self.seconds["generate"]
        return {
            "seconds": seconds,
            "engine": self.effective,
            **{f"{name}_seconds": self.seconds[name] for name in activities},
            "generated": self.generated,
            "cache_hits": self.cache_hits,
            "kept_rows": self.kept_rows,
            "output_tokens": self.output_tokens,
            "output_tokens_per_second": self.output_tokens / busy if busy else None,
            "prefix_hit_rate": self.prefix_hit_rate,
        }
