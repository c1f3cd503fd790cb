"""What the language stages ask of an engine, whatever runs the model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.prompt_template import Message


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Greedy decoding (temperature 0) draws nothing: it has no seed and no top_p."""

    temperature: float
    top_p: float
    seed: int | None

    @staticmethod
    def of(temperature: float, top_p: float, seed: int) -> "Sampling":
        if temperature == 0:
            return Sampling(0.0, 1.0, None)
        return Sampling(float(temperature), float(top_p), seed)


@dataclass(frozen=True)
class Request:
    """One prompt. `key` names it in the row cache; `seed` is the request's own, made from the key.

    `json_schema` is what the answer must be JSON of, or None for any text.
    """

    key: str
    messages: list[Message]
    sampling: Sampling
    max_tokens: int
    seed: int | None
    json_schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """What came of a request: a text, or an error in one line.

    `permanent` marks an error that the same request would meet again (a prompt longer than the context).
    """

    key: str
    text: str | None = None
    error: str | None = None
    permanent: bool = False
    finish_reason: str | None = None  # stop | length
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None  # of the prompt, taken from the engine's prefix cache

    @staticmethod
    def too_long(key: str, tokens: int, context: int) -> "Result":
        """The failure of a prompt that leaves no room for an answer."""
        error = f"the prompt has {tokens} tokens and the model's context {context}"
        return Result(key, error=error, permanent=True, prompt_tokens=tokens)


class Engine(Protocol):
    """Runs a model. One bad request gives one failed result; it never ends the batch."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield one result a request, as they finish, in any order; `requests` is read as room appears."""
        ...

    def close(self) -> None:
        """Free the model, its memory and its processes."""
        ...


@dataclass
class EngineSpeed:
    """Counters of one stage's engine work; they vary from run to run."""

    start_seconds: float = 0.0
    generate_seconds: float = 0.0
    generated: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.generated += 1
        self.output_tokens += result.output_tokens or 0
        if result.cached_tokens is not None:
            self.prompt_tokens += result.prompt_tokens or 0
            self.cached_tokens += result.cached_tokens


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """An error's message on one line, cut to `limit` characters."""
    name = "" if isinstance(error, str) else type(error).__name__
    text = " ".join(str(error).split())
    line = f"{name}: {text}" if name and text else name or text
    return line if len(line) <= limit else line[: limit - 3] + "..."
