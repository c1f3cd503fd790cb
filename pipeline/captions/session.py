"""One engine for a whole run of a language stage, with progress bars."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator

from pipeline.base.progress import Progress
from pipeline.captions.settings import FIRST, Attempt
from pipeline.captions.speed import Speed
from pipeline.llm.types import Engine, Request, Result

log = logging.getLogger(__name__)

SHOWN_FAILURES = 5


class EngineSession:
    """Opens the engine when it is first needed; the requests of all blocks go to this one.

    Args:
        stage: its name, for progress bars and log lines.
    """

    def __init__(self, stage: str, open_engine: Callable[[], Engine], speed: Speed) -> None:
        self._stage, self._open, self._speed = stage, open_engine, speed
        self._engine: Engine | None = None
        self._first_texts = 0
        self._overall: Progress | None = None

    def expect(self, first_texts: int) -> None:
        """Set how many first texts all blocks together need, by what is known so far; one bar shows them."""
        self._first_texts = first_texts
        if self._overall is not None:
            self._overall.total = first_texts
            if self._overall.n >= first_texts:
                self._overall.close()

    def generate(
        self, requests: Iterable[Request], total: int, attempt: Attempt, leave: bool
    ) -> Iterator[Result]:
        """Yield results as they come.

        Args:
            total: how many requests there are.
            leave: whether the bar of a repair or sample stays on the screen.
        """
        speed = self._speed
        if self._engine is None:
            with speed.timed("engine_start"):
                self._engine = self._open()
            speed.effective = self._engine.effective()
        label = self._stage if attempt is FIRST else f"{self._stage}, {attempt}"
        if attempt is FIRST:
            if self._overall is None:
                self._overall = _bar(label, self._first_texts, leave=True)
            bar = self._overall
        else:
            bar = _bar(label, total, leave)
        failed, before, since = 0, speed.seconds["generate"], time.perf_counter()
        with speed.timed("generate"):
            try:
                for result in self._engine.generate(requests):
                    speed.add(result)
                    bar.update()
                    rate = speed.output_tokens / (before + time.perf_counter() - since)
                    bar.say(f"{rate:.0f} tokens/s")
                    if result.error is not None:
                        failed += 1
                        if failed <= SHOWN_FAILURES:
                            log.warning("%s: a row failed: %s", label, result.error)
                    yield result
            except BaseException:
                bar.close()
                raise
            if bar is not self._overall or bar.n >= self._first_texts:
                bar.close()
            speed.shared_tokens = self._engine.shared_tokens()
        if failed > SHOWN_FAILURES:
            log.warning("%s: %d rows failed", label, failed)

    def close(self) -> None:
        if self._overall is not None:
            self._overall.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _bar(label: str, total: int, leave: bool) -> Progress:
    return Progress(total=total, title=label, unit="row", leave=leave)
