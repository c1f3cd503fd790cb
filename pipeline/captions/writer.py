"""The language stages' loop: rows to texts, from the row cache where it has them, else from an engine."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from pipeline.base.interrupts import Interrupted
from pipeline.captions.answer import caption_of
from pipeline.captions.failures import Failures
from pipeline.captions.judging import Judge, Outcome
from pipeline.captions.parts import Part, Written
from pipeline.captions.row_cache import NO_CAPTION, Entry, RowCache
from pipeline.captions.rows import Row
from pipeline.captions.session import EngineSession
from pipeline.captions.settings import FIRST, SHORTER, Attempt, Settings
from pipeline.captions.speed import Speed
from pipeline.llm.types import Engine

log = logging.getLogger(__name__)

FLUSH_ROWS = 512
FLUSH_SECONDS = 2.0


class TextWriter:
    """Gives rows their texts, block by block: one engine, opened once, and only if the cache lacks something.

    Args:
        count: rows of all blocks.
    """

    def __init__(
        self, settings: Settings, cache: RowCache, open_engine: Callable[[], Engine], count: int
    ) -> None:
        self._settings, self._cache, self._count = settings, cache, count
        self._first_texts = count  # those of all blocks that need an engine, by what is known so far
        self._failed: dict[str, Entry] = {}  # failures of this run, by key; only the next run asks again
        self._failures = Failures(settings)
        self._judge = Judge(settings)
        self.speed = Speed()
        self._session = EngineSession(settings.stage.name, open_engine, self.speed)

    def __enter__(self) -> "TextWriter":
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Interrupted):
            error.kept.append(
                f"{self._settings.stage.name}: the {self.speed.generated} texts generated are kept, "
                "and the next run goes on from there"
            )
        self._session.close()
        self._cache.merge()

    def write(self, rows: Sequence[Row]) -> list[Outcome]:
        """Give every row of a block a text or an error.

        Rows with the same prompt and image share one request. Where the prompt or what there is to say is too
        long, a row is asked again with less of its graph. One that failed, was cut, or misses or invents a
        fact gets `llm.repairs` further attempts; the best one is kept. Then come the further samples. A row
        that is empty or has a brought text is never sent to a model; one with a permanent error not again.

        Args:
            rows: in any order; the result has theirs.
        """
        settings = self._settings
        outcomes = [Outcome(row, settings.row_key(row, FIRST)) for row in rows]
        self._first_texts -= len(rows)
        asked = [outcome for outcome in outcomes if not outcome.candidates]
        leave = len(rows) == self._count
        self._attempt(asked, FIRST, leave)
        self._shorten(asked, leave)
        unfinished = asked
        for repair in settings.repairs():
            unfinished = [outcome for outcome in unfinished if outcome.needs_repair]
            self._attempt(unfinished, repair, leave)
        answerable = [outcome for outcome in asked if not outcome.best.answer.permanent]
        for sample in settings.samples():
            self._attempt(answerable, sample, leave)
        self._failures.add(asked)
        self._cache.merge()  # else each block would look into the small parts of all earlier ones
        return outcomes

    def take(self, part: Part, written: Written) -> None:
        """Count the rows of a part that is not made again."""
        self._first_texts -= written.rows.num_rows
        self._session.expect(self._first_texts)
        self.speed.kept_rows += written.rows.num_rows
        self._failures.count(part.dataset, written.asked)
        self._judge.thinks = self._judge.thinks or written.thinks

    def _shorten(self, outcomes: Sequence[Outcome], leave: bool) -> None:
        """Where a prompt or its text is too long, ask with half of the graph, then half of that, and so on.

        The first answer that is not too long stands. If there is none, a text that was cut stays as it is,
        and a row without one fails with the error of its shortest prompt.
        """
        rows = [(outcome, outcome.row) for outcome in outcomes if outcome.too_long]
        while rows:
            trials = [
                (outcome, Outcome(shorter, self._settings.row_key(shorter, FIRST)))
                for outcome, row in rows
                if (shorter := row.shorter()) is not None
            ]
            self._attempt([trial for _, trial in trials], SHORTER, leave)
            for outcome, trial in trials:
                outcome.shorten(trial)
            rows = [(outcome, trial.row) for outcome, trial in trials if trial.too_long]

    def check(self) -> None:
        """Refuse a run with too many failed rows.

        Raises:
            UserError: more than `llm.max_failed_share` of a dataset failed.
        """
        self._failures.check()

    def _attempt(self, outcomes: Sequence[Outcome], attempt: Attempt, leave: bool) -> None:
        """Get one more text for each of these rows."""
        if not outcomes:
            return
        settings = self._settings
        keys = [
            outcome.row_key if attempt is FIRST else settings.row_key(outcome.row, attempt)
            for outcome in outcomes
        ]
        entries = self._entries(dict(zip(keys, outcomes, strict=True)), attempt, leave)
        with self.speed.timed("checking"):
            self._judge.judge(outcomes, [entries[key] for key in keys], attempt)

    def _entries(self, outcomes: dict[str, Outcome], attempt: Attempt, leave: bool) -> dict[str, Entry]:
        """An entry for every key: from the cache, else from the engine by way of the cache."""
        settings, max_tokens = self._settings, self._settings.limit
        with self.speed.timed("cache"):
            entries = {key: self._failed[key] for key in outcomes.keys() & self._failed.keys()}
            entries |= self._cache.lookup(outcomes, max_tokens)
        missing = [key for key in outcomes if key not in entries or self._asks_again(entries[key])]
        # long prompts go first, so that none runs alone at the end; prompts differ in the last turn only
        missing.sort(key=lambda key: (-len(outcomes[key].row.messages[-1]["content"]), key))
        self.speed.cache_hits += len(outcomes) - len(missing)
        if attempt is FIRST:
            self._first_texts += len(missing)
            self._session.expect(self._first_texts)
        if not missing:
            return entries
        requests = (settings.request(key, outcomes[key].row, attempt) for key in missing)
        unsaved: list[Entry] = []
        since = time.monotonic()
        try:
            for result in self._session.generate(requests, len(missing), attempt, leave):
                if result.finish_reason != "length" and self._says_nothing(result.text):
                    result = replace(result, text=None, error=NO_CAPTION)
                known = entries.get(result.key)
                entry = Entry.of(
                    result,
                    row_key=outcomes[result.key].row_key,
                    model=settings.llm.model,
                    prompt_hash=settings.prompt_hash(outcomes[result.key].row, attempt),
                    max_tokens=max_tokens,
                    failures=known.tries if known is not None else 0,
                )
                entries[entry.key] = entry
                if entry.failed:
                    self._failed[entry.key] = entry
                unsaved.append(entry)
                if len(unsaved) >= FLUSH_ROWS or time.monotonic() - since >= FLUSH_SECONDS:
                    self._cache.add(unsaved)
                    unsaved, since = [], time.monotonic()
        finally:
            self._cache.add(unsaved)
        if unanswered := outcomes.keys() - entries.keys():
            raise RuntimeError(f"the engine left {len(unanswered)} requests without a result")
        return entries

    def _says_nothing(self, answer: str | None) -> bool:
        """Whether a whole answer has neither a caption nor thoughts that never end."""
        reading = None if answer is None else caption_of(answer, self._settings.json_schema is not None)
        return reading is not None and reading.text is None and not reading.thinking

    def _asks_again(self, entry: Entry) -> bool:
        """Whether an entry is a failure that may be temporary and has tries left."""
        passing = entry.failed and not entry.permanent
        return passing and entry.tries < self._settings.llm.tries and entry.key not in self._failed
