"""The language stages' loop: rows to texts, from the row cache where it has them, else from an engine."""

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from pipeline.captions.answer import caption_in, clean_text
from pipeline.captions.row_cache import Entry, RowCache, row_key, seed_of
from pipeline.captions.rows import Outcome, Row, Settings
from pipeline.captions.session import EngineSession, Speed
from pipeline.faithfulness.check import Check, Checker
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine, Request, Result

log = logging.getLogger(__name__)

PART_ROWS = 512
PART_SECONDS = 2.0
EMPTY_GRAPH = "the scene graph has no objects: there is nothing to say"

_checker = lru_cache(maxsize=8)(Checker)  # one for the vocabulary of each dataset


class TextWriter:
    """Gives rows their texts, block by block: one engine, opened once, and only if the cache lacks something.

    Args:
        count: rows of all blocks.
    """

    def __init__(
        self, settings: Settings, cache: RowCache, open_engine: Callable[[], Engine], count: int
    ) -> None:
        self._settings, self._cache, self._count = settings, cache, count
        self._settled = 0  # rows so far for whose first attempt no engine was asked
        self._failed: set[str] = set()  # keys; a later block leaves them to the next run
        self.speed = Speed()
        self._session = EngineSession(open_engine, self.speed)

    def __enter__(self) -> "TextWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            log.warning(
                "%s: interrupted; the %d texts generated are kept, and the next run goes on from there",
                self._settings.stage,
                self.speed.generated,
            )
        self._session.close()
        self._cache.merge()

    def write(self, rows: Sequence[Row]) -> list[Outcome]:
        """Give every row of a block a text or an error.

        Rows that ask the same share one request. A row that failed, was cut, or misses or invents a fact is
        asked again `settings.repairs` times; the attempt with the fewest wrong facts is kept, the first one
        on a tie. Further samples are taken as they come; one that failed, was cut or says what another says
        is left out. Nothing is asked about an empty row, nor a second time what can never be answered.

        Args:
            rows: in any order; the result has theirs.
        """
        settings, speed = self._settings, self.speed
        outcomes: list[Outcome | None] = [None] * len(rows)
        roots = _keys(rows, settings, 0)
        self._settled += len(rows)

        def ask(places: list[int], attempt: int) -> list[tuple[int, Entry]]:
            keys = (
                _keys([rows[i] for i in places], settings, attempt) if attempt else [roots[i] for i in places]
            )
            asked = {key: (rows[i], roots[i]) for i, key in zip(places, keys, strict=True)}
            answers = self._answers(asked, attempt, alone=len(rows) == self._count)
            return [(i, answers[key]) for i, key in zip(places, keys, strict=True)]

        open_rows = [i for i, row in enumerate(rows) if not row.empty]
        for attempt in range(settings.repairs + 1):
            if not open_rows:
                break
            answered = ask(open_rows, attempt)
            since = time.perf_counter()
            open_rows = []
            for i, entry in answered:
                outcome = _judge(rows[i], roots[i], entry, attempt, outcomes[i], settings)
                outcomes[i] = outcome
                if not outcome.done and not outcome.entry.permanent:
                    open_rows.append(i)
            speed.spend("checking", since)
        made = [
            _empty(root, settings) if outcome is None else outcome
            for root, outcome in zip(roots, outcomes, strict=True)
        ]
        answerable = [i for i, outcome in enumerate(made) if not outcome.entry.permanent]
        for sample in range(1, settings.samples):
            answered = ask(answerable, -sample)
            since = time.perf_counter()
            for i, entry in answered:
                _add_sample(rows[i], made[i], entry, settings)
            speed.spend("checking", since)
        return made

    def _answers(self, asked: dict[str, tuple[Row, str]], attempt: int, alone: bool) -> dict[str, Entry]:
        """An entry for every key: from the cache, else from the engine, by way of the cache.

        Args:
            alone: this is the only block.
        """
        settings = self._settings
        since = time.perf_counter()
        answers = self._cache.lookup(asked, settings.max_tokens)
        settled = {
            key
            for key, entry in answers.items()
            if not entry.failed or entry.permanent or entry.tries >= settings.tries or key in self._failed
        }
        self.speed.spend("cache", since)
        self.speed.cache_hits += len(settled)
        missing = sorted(asked.keys() - settled, key=lambda key: (-_length(asked[key][0].messages), key))
        if not attempt:
            self._settled -= len(missing)
            self._session.expect(self._count - self._settled)
        if not missing:
            return answers
        sampling = settings.sampling(attempt)
        requests = (
            Request(
                key=key,
                messages=asked[key][0].messages,
                sampling=sampling,
                max_tokens=settings.max_tokens,
                seed=None if sampling.seed is None else seed_of(key),
                json_schema=settings.json_schema,
            )
            for key in missing
        )
        results = self._session.generate(
            requests, len(missing), settings.label(attempt), first=not attempt, alone=alone
        )
        with _Writer(self._cache) as writer:
            for result in results:
                known = answers.get(result.key)
                entry = Entry.of(
                    result,
                    row_key=asked[result.key][1],
                    model=settings.model,
                    prompt_hash=settings.prompt_hash,
                    max_tokens=settings.max_tokens,
                    failures=known.tries if known is not None else 0,
                )
                answers[result.key] = entry
                writer.add(entry)
                if entry.failed:
                    self._failed.add(entry.key)
        if unanswered := asked.keys() - answers.keys():
            raise RuntimeError(f"the engine left {len(unanswered)} requests without a result")
        return answers


def _keys(rows: Sequence[Row], settings: Settings, attempt: int) -> list[str]:
    sampling = settings.sampling(attempt)
    return [row_key(settings.identity, row.messages, sampling, settings.json_schema, attempt) for row in rows]


def _empty(root: str, settings: Settings) -> Outcome:
    """Of a row about which nothing is asked; it is not cached."""
    result = Result(root, error=EMPTY_GRAPH, permanent=True)
    entry = Entry.of(
        result,
        row_key=root,
        model=settings.model,
        prompt_hash=settings.prompt_hash,
        max_tokens=settings.max_tokens,
        failures=0,
    )
    return Outcome(root, entry, None, None, 0, None)


def _read(row: Row, entry: Entry, settings: Settings) -> tuple[str | None, Check | None]:
    """The caption in an answer, if there is one, and whether it is true to the row's graph."""
    answer = entry.text
    if answer is not None and settings.json_schema is not None:
        answer = caption_in(answer)
    text = clean_text(answer) if answer is not None else None
    checked = None
    if row.graph is not None and row.vocabulary is not None:
        checked = _checker(row.vocabulary).check(text or "", row.graph)
    return text or None, checked


def _add_sample(row: Row, outcome: Outcome, entry: Entry, settings: Settings) -> None:
    text, checked = _read(row, entry, settings)
    known = {outcome.text, *(said for said, _ in outcome.alternatives)}
    if text is not None and entry.finish_reason != "length" and text not in known:
        outcome.alternatives.append((text, checked))


def _judge(
    row: Row, root: str, entry: Entry, attempt: int, best: Outcome | None, settings: Settings
) -> Outcome:
    text, checked = _read(row, entry, settings)
    outcome = Outcome(root, entry, text, checked, attempt, None)
    if best is None:
        outcome.first_all_right = None if checked is None else outcome.text is not None and checked.all_right
        return outcome
    outcome.first_all_right = best.first_all_right
    return outcome if outcome.badness < best.badness else best


def _length(messages: list[Message]) -> int:
    """Long rows go first, so that none is left alone at the end. Only the last turn differs between rows."""
    return len(messages[-1]["content"])


class _Writer:
    """Puts results on disk every few hundred rows or seconds, and the rest when the loop ends."""

    def __init__(self, cache: RowCache) -> None:
        self._cache = cache
        self._entries: list[Entry] = []
        self._since = time.monotonic()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        if len(self._entries) >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS:
            self._flush()

    def _flush(self) -> None:
        self._cache.add(self._entries)
        self._entries, self._since = [], time.monotonic()
