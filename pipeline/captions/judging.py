"""The texts that the model gives for a row, each checked against the row's graph, and the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.captions.answer import caption_in, clean_text
from pipeline.captions.row_cache import NO_CAPTION, Entry
from pipeline.captions.rows import Row
from pipeline.captions.settings import FIRST, Attempt, Settings
from pipeline.faithfulness.check import Check
from pipeline.llm.types import Result

EMPTY_GRAPH = "the scene graph has no objects: there is nothing to say"


@dataclass(frozen=True)
class Candidate:
    """One answer about a row: the caption in it, if there is one, and its check where the facts are known."""

    attempt: Attempt
    answer: Result
    text: str | None
    check: Check | None

    @property
    def error(self) -> str | None:
        return None if self.text is not None else self.answer.error or NO_CAPTION

    @property
    def truncated(self) -> bool:
        return self.text is not None and self.answer.finish_reason == "length"

    @property
    def all_right(self) -> bool | None:
        """Whether it states every fact and invents none; None where the facts are not known."""
        return None if self.check is None else self.text is not None and self.check.all_right

    @property
    def final(self) -> bool:
        """Whether no fault of it is known."""
        return self.text is not None and not self.truncated and self.all_right is not False

    @property
    def badness(self) -> tuple[bool, int, bool]:
        """Lowest for the best candidate: with a text, the fewest wrong facts, and not truncated."""
        wrong = 0 if self.check is None else len(self.check.missed) + len(self.check.invented)
        return (self.text is None, wrong, self.truncated)


@dataclass
class Outcome:
    """A row and its texts so far.

    Attributes:
        alternatives: further samples, all different.
        lost_sample: why the service gave no text for one of them; None where it gave all.
    """

    row: Row
    row_key: str
    candidates: list[Candidate] = field(default_factory=list)
    alternatives: list[Candidate] = field(default_factory=list)
    lost_sample: str | None = None

    def __post_init__(self) -> None:
        if self.row.empty:
            error = Result(self.row_key, error=EMPTY_GRAPH, permanent=True)
            self.candidates.append(Candidate(FIRST, error, None, None))

    @property
    def best(self) -> Candidate:
        """The candidate with the fewest wrong facts, the first one on a tie."""
        return min(self.candidates, key=lambda candidate: candidate.badness)

    @property
    def needs_repair(self) -> bool:
        """Whether something is wrong with the best candidate, and the error is not permanent."""
        return not self.best.final and not self.best.answer.permanent

    def add(self, candidate: Candidate) -> None:
        """Add a text. A sample that failed, was truncated, or equals another text is left out."""
        if candidate.attempt.kind != "sample":
            self.candidates.append(candidate)
            return
        if candidate.answer.external:
            self.lost_sample = candidate.error
        known = {self.best.text, *(alternative.text for alternative in self.alternatives)}
        if candidate.text not in (None, *known) and not candidate.truncated:
            self.alternatives.append(candidate)


def judge(
    outcomes: Sequence[Outcome], entries: Sequence[Entry], attempt: Attempt, settings: Settings
) -> None:
    """Read the caption in each row's answer and check it against the row's graph."""
    for outcome, entry in zip(outcomes, entries, strict=True):
        text = caption_of(entry.text, settings)
        row = outcome.row
        check = None if row.graph is None else row.checker.check(text or "", row.graph)
        outcome.add(Candidate(attempt, entry, text, check))


def caption_of(answer: str | None, settings: Settings) -> str | None:
    """The caption in an answer, None where it holds none."""
    if answer is not None and settings.json_schema is not None:
        answer = caption_in(answer)
    return (clean_text(answer) or None) if answer is not None else None
