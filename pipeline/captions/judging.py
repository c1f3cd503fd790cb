"""The texts that the model gives for a row, each checked against the row's graph, and the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pipeline.base.progress import Progress
from pipeline.captions.answer import caption_of
from pipeline.captions.row_cache import NO_CAPTION, Entry
from pipeline.captions.rows import Row
from pipeline.captions.settings import BROUGHT, FIRST, RULES, Attempt, Settings
from pipeline.faithfulness.check import Check
from pipeline.graph.verbalise import verbalise
from pipeline.llm.thoughts import ends_thoughts, thinks_aloud
from pipeline.llm.types import Result

EMPTY_GRAPH = "the scene graph has no objects: there is nothing to say"


@dataclass(frozen=True)
class Candidate:
    """One answer about a row: the caption in it, if there is one, and its check where the facts are known.

    `fault` says why the answer holds no caption, where that is known; `thinking`: it ends in thoughts.
    """

    attempt: Attempt
    answer: Result
    text: str | None
    check: Check | None
    fault: str | None = None
    thinking: bool = False

    @property
    def error(self) -> str | None:
        return None if self.text is not None else self.answer.error or self.fault or NO_CAPTION

    @property
    def truncated(self) -> bool:
        return self.text is not None and self.answer.finish_reason == "length"

    @property
    def all_right(self) -> bool | None:
        """Whether it states every fact and invents none; None where no fact is known or can be checked."""
        if self.check is None or not self.check.known:
            return None
        return self.text is not None and self.check.all_right

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
    _cut_text: Candidate | None = None  # the first answer, where a shorter prompt took the place of the row's

    def __post_init__(self) -> None:
        row = self.row
        if row.brought is not None:
            check = None if row.graph is None else row.checker.check(row.brought, row.graph)
            answer = Result(self.row_key, text=row.brought)
            self.candidates.append(Candidate(BROUGHT, answer, row.brought, check))
        elif row.empty:
            error = Result(self.row_key, error=EMPTY_GRAPH, permanent=True)
            self.candidates.append(Candidate(FIRST, error, None, None))

    @property
    def first(self) -> Candidate:
        """The model's first answer, or the brought text."""
        return self._cut_text or self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The candidate with the fewest wrong facts, the first one on a tie."""
        return min(self.candidates, key=lambda candidate: candidate.badness)

    @property
    def too_long(self) -> bool:
        """Whether the prompt is too long, or the answer was cut since there is too much to say.

        The latter is so if the sentences by rule about the prompt's graph are longer than half of what the
        model wrote: a model that is cut while it rambles about a small graph would ramble again.
        """
        first, shown = self.candidates[0], self.row.shown
        answer = first.answer
        if shown is None or answer.permanent:
            return answer.permanent
        if answer.finish_reason != "length" or first.thinking or first.all_right:
            return False
        return 2 * len(verbalise(shown)) > len(first.text or answer.text or "")

    def shorten(self, shorter: "Outcome") -> None:
        """Take over the answer to a prompt with less of the graph if it is whole, or if there is no other."""
        (old,), (new,) = self.candidates, shorter.candidates
        if new.text is None:
            better = old.answer.permanent and not new.answer.permanent
        else:
            better = old.text is None or not new.truncated
        if better:
            if self._cut_text is None and old.text is not None:
                self._cut_text = old
            self.row, self.row_key, self.candidates = shorter.row, shorter.row_key, [new]
        elif old.answer.permanent and new.answer.permanent:
            self.candidates = [replace(old, answer=new.answer)]

    @property
    def settled(self) -> bool:
        """Whether every run with these texts has this outcome: no answer failed or was cut.

        What an answer that was cut holds depends on the answers before it.
        """
        if self.row.empty:
            return True
        answers = [*self.candidates, *self.alternatives]
        whole = all(one.text is not None and one.answer.finish_reason != "length" for one in answers)
        return whole and self._cut_text is None and self.lost_sample is None

    @property
    def thinks(self) -> bool:
        """Whether an answer to the prompt itself holds the end of thoughts."""
        answers = (one.answer for one in self.candidates if one.attempt.kind == "first")
        return any(ends_thoughts(answer.text or "") for answer in answers)

    @property
    def needs_repair(self) -> bool:
        """Whether something is wrong with the best candidate, and the error is not permanent."""
        return not self.best.final and not self.best.answer.permanent

    def by_rule(self, text: str) -> Candidate:
        """A text by rule, which is checked like any other."""
        row = self.row
        check = None if row.graph is None else row.checker.check(text, row.graph)
        answer = Result(self.row_key, text=text, prompt_tokens=self.best.answer.prompt_tokens)
        return Candidate(RULES, answer, text, check)

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


class Judge:
    """Reads the captions in answers and checks them.

    Once an answer has held the end of thoughts, an answer that was cut without one is a thought: where a
    prompt at a server opens the thoughts, nothing else shows it.

    Attributes:
        thinks: whether one has.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._in_json = settings.json_schema is not None
        self.thinks = False

    def judge(self, outcomes: Sequence[Outcome], entries: Sequence[Entry], attempt: Attempt) -> None:
        """Give each row the candidate that its answer is."""
        if attempt.kind != "repair":  # the prompt of repairs may ask for thoughts of any model
            self.thinks = self.thinks or any(ends_thoughts(entry.text or "") for entry in entries)
        pairs = zip(outcomes, entries, strict=True)
        for outcome, entry in Progress(
            pairs, title="check texts", unit="text", total=len(outcomes), leave=False
        ):
            text, fault, thinking = self._caption(entry)
            row = outcome.row
            check = None if row.graph is None else row.checker.check(text or "", row.graph)
            outcome.add(Candidate(attempt, entry, text, check, fault, thinking))

    def _caption(self, entry: Entry) -> tuple[str | None, str | None, bool]:
        """The caption in an answer, None if there is none; why, if known; whether it ends in thoughts."""
        if entry.text is None:
            return None, None, False
        reading = caption_of(entry.text, self._in_json)
        cut = entry.finish_reason == "length"
        text, thinking = reading.text, reading.thinking or not entry.text.strip()
        seems_thought = self.thinks or thinks_aloud(entry.text)
        if cut and seems_thought and not self._in_json and not ends_thoughts(entry.text):
            text, thinking = None, True
        if text is not None:
            return text, None, False
        if cut:
            return None, self._cut(entry, thinking), thinking
        return None, "the model's thoughts have no end" if thinking else None, thinking

    def _cut(self, entry: Entry, thinking: bool) -> str:
        """Why an answer that was cut holds no caption, and which parameter gives it more room."""
        limit = f"{self._settings.stage.name}.max_tokens"
        if thinking:
            state, limit = "was still thinking", f"llm.thought_tokens or {limit}"
        elif self._in_json or "{" in (entry.text or ""):
            state = "had not ended its JSON"
        else:
            state = "had not come to the caption"
        length = entry.max_tokens if entry.output_tokens is None else entry.output_tokens
        if length < entry.max_tokens:
            limit = f"max_model_len in llm.engine_args: the context was full before {limit}"
        return f"the model {state} when it had written {length} tokens: raise {limit}"
