"""The rows that a language stage writes about, what their texts depend on, and what each has come to."""

from dataclasses import dataclass, field

from pipeline.captions.row_cache import Entry
from pipeline.faithfulness.check import Check, Vocabulary
from pipeline.graph.scene_graph import GroupGraph
from pipeline.llm.prompt import Message
from pipeline.llm.types import Sampling


@dataclass(frozen=True)
class Row:
    """One row to write about.

    `graph` is what the text must say, or None where that is not known; `summarised`, whether the prompt says
    less than the whole scene graph; `empty`, whether there is nothing to say and no model is asked.
    """

    dataset: str
    id: str
    messages: list[Message]
    graph: GroupGraph | None
    vocabulary: Vocabulary | None = None
    summarised: bool = False
    empty: bool = False


@dataclass(frozen=True)
class Settings:
    """What the texts of a stage depend on, the rows apart."""

    stage: str
    identity: dict
    model: str
    prompt_hash: str
    max_tokens: int
    temperature: float
    top_p: float
    seed: int
    repairs: int
    repair_temperature: float
    tries: int  # runs in which a failed request is made again; its key changes with all that it depends on
    json_schema: dict | None = None  # of every answer
    samples: int = 1  # texts a row
    sample_temperature: float = 1.0  # of those beyond the first

    def sampling(self, attempt: int) -> Sampling:
        """Of the first attempt (0), of a repair (1, 2 ...) or of a further sample (-1, -2 ...)."""
        temperature = self.repair_temperature if attempt else self.temperature
        if attempt < 0:
            temperature = self.sample_temperature
        return Sampling.of(temperature, self.top_p, self.seed)

    def label(self, attempt: int) -> str:
        if not attempt:
            return self.stage
        return f"{self.stage}, repair {attempt}" if attempt > 0 else f"{self.stage}, sample {1 - attempt}"


@dataclass
class Outcome:
    """What a row has come to: its best attempt so far."""

    row_key: str
    entry: Entry
    text: str | None
    check: Check | None
    attempt: int
    first_all_right: bool | None
    alternatives: list[tuple[str, Check | None]] = field(default_factory=list)  # further samples, each new

    @property
    def error(self) -> str | None:
        if self.text is not None:
            return None
        return self.entry.error or "the model returned no caption"

    @property
    def truncated(self) -> bool:
        return self.text is not None and self.entry.finish_reason == "length"

    @property
    def done(self) -> bool:
        """Nothing is known to be wrong with it."""
        return self.text is not None and not self.truncated and (self.check is None or self.check.all_right)

    @property
    def badness(self) -> tuple[int, int, int]:
        wrong = 0 if self.check is None else len(self.check.missed) + len(self.check.invented)
        return (self.text is None, wrong, self.truncated)
