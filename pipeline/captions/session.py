"""One engine for a whole run of a language stage, its speed, and bars that show how it is getting on."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from pipeline.llm.types import Engine, EngineSpeed, Request, Result

log = logging.getLogger(__name__)

SHOWN_FAILURES = 5


@dataclass
class Speed(EngineSpeed):
    """Counters of a run, and where its time went."""

    cache_hits: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def spend(self, on: str, since: float) -> float:
        now = time.perf_counter()
        self.seconds[on] = self.seconds.get(on, 0.0) + now - since
        return now


class _Bar:
    """Rows done of those to do, and tokens a second of the engine's time."""

    def __init__(self, label: str, total: int, leave: bool) -> None:
        self._tqdm = tqdm(
            total=total, desc=label, unit="row", mininterval=0.5, dynamic_ncols=True, leave=leave
        )
        self._total = total
        self._tokens, self._busy, self._since = 0, 0.0, 0.0

    def expect(self, total: int) -> None:
        self._total = self._tqdm.total = total
        if self.full:
            self.close()

    def start(self) -> None:
        self._since = time.perf_counter()

    def add(self, result: Result) -> None:
        self._tokens += result.output_tokens or 0
        self._tqdm.update()
        seconds = self._busy + time.perf_counter() - self._since
        self._tqdm.set_postfix_str(f"{self._tokens / seconds:.0f} tok/s", refresh=False)

    def stop(self) -> None:
        self._busy += time.perf_counter() - self._since

    @property
    def full(self) -> bool:
        return self._tqdm.n >= self._total

    def close(self) -> None:
        self._tqdm.close()


class EngineSession:
    """Opens the engine when it is first needed; every block's requests go to this one."""

    def __init__(self, open_engine: Callable[[], Engine], speed: Speed) -> None:
        self._open, self.speed = open_engine, speed
        self._engine: Engine | None = None
        self._expected = 0
        self._overall: _Bar | None = None

    def expect(self, total: int) -> None:
        """Say how many first attempts all blocks take, as far as is known; one bar shows them."""
        self._expected = total
        if self._overall is not None:
            self._overall.expect(total)

    def generate(
        self, requests: Iterable[Request], total: int, label: str, *, first: bool, alone: bool
    ) -> Iterator[Result]:
        """Yield results as they come.

        Args:
            total: how many requests there are.
            first: these are first attempts; their bar is that of all blocks.
            alone: there is but one block. Where there are more, other bars than that leave nothing behind.
        """
        since = time.perf_counter()
        if self._engine is None:
            self._engine = self._open()
            self.speed.start_seconds = time.perf_counter() - since
            self.speed.effective = self._engine.effective()
            since = time.perf_counter()
        if not first:
            bar = _Bar(label, total, leave=alone)
        else:
            bar = self._overall = self._overall or _Bar(label, self._expected, leave=True)
        failed, done = 0, False
        bar.start()
        try:
            for result in self._engine.generate(requests):
                self.speed.add(result)
                bar.add(result)
                if result.error is not None:
                    failed += 1
                    if failed <= SHOWN_FAILURES:
                        log.warning("%s: a row failed: %s", label, result.error)
                yield result
            done = True
        finally:
            bar.stop()
            if not (first and done) or bar.full:
                bar.close()
        if failed > SHOWN_FAILURES:
            log.warning("%s: %d rows failed; the tables say why", label, failed)
        self.speed.shared_tokens = self._engine.shared_tokens()
        self.speed.generate_seconds += time.perf_counter() - since

    def close(self) -> None:
        if self._overall is not None:
            self._overall.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = None
