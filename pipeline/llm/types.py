"""The contract between the language stages and an engine, whatever runs the model."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.base.errors import one_line
from pipeline.base.sampling import changes
from pipeline.llm.pictures import Picture
from pipeline.llm.prompt import Message


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn. Greedy decoding (temperature 0) draws nothing: it has no seed and no top_p.

    Attributes:
        further: what of `llm.sampling` can change the text, by vLLM's names; nothing at its neutral value.
    """

    temperature: float
    top_p: float
    seed: int | None
    further: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def of(
        temperature: float, top_p: float, seed: int, further: Mapping[str, Any] | None = None
    ) -> "Sampling":
        """`further` is `llm.sampling`."""
        rest = changes(further or {}, greedy=temperature == 0)
        if temperature == 0:
            return Sampling(0.0, 1.0, None, rest)
        return Sampling(float(temperature), float(top_p), seed, rest)


@dataclass(frozen=True)
class Request:
    """One prompt. `key` names it in the row cache; `seed` is the request's own, made from the key.

    `json_schema` is the schema of a JSON answer, or None for any text. `picture` stands before the text of
    the last message.
    """

    key: str
    messages: list[Message]
    sampling: Sampling
    max_tokens: int
    seed: int | None
    json_schema: dict[str, Any] | None = None
    picture: Picture | None = None

    def sampling_arguments(self, stops: Sequence[str] = ()) -> dict[str, Any]:
        """By the names that vLLM and OpenAI's API give them; `stops` are texts that stop an answer too."""
        arguments = {
            "temperature": self.sampling.temperature,
            "top_p": self.sampling.top_p,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            **self.sampling.further,
        }
        if stops:
            arguments["stop"] = list(dict.fromkeys([*arguments.get("stop", ()), *stops]))
        return arguments


@dataclass(frozen=True)
class Result:
    """The outcome of a request: a text, or an error in one line.

    Attributes:
        permanent: the same request would meet the error again in this run (a prompt longer than the context).
        external: the cause of the error may lie outside the request (the server, the connection, the memory),
            so every later run asks again.
    """

    key: str
    text: str | None = None
    error: str | None = None
    permanent: bool = False
    external: bool = False
    finish_reason: str | None = None  # stop | length
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None  # of the prompt, taken from the engine's prefix cache

    @staticmethod
    def without_picture(key: str, error: ValueError) -> "Result":
        """The failure of a request whose image cannot be used: the file may be restored."""
        return Result(key, error=one_line(str(error)), permanent=True, external=True)

    @staticmethod
    def too_long(key: str, tokens: int, context: int, limited_by_memory: bool = False) -> "Result":
        """The failure of a prompt that leaves no room for an answer.

        Args:
            limited_by_memory: the model could take more than the KV cache holds, which may change.
        """
        if limited_by_memory:
            limit, remedy = (
                "the memory for the KV cache holds",
                "give it more (kv_cache_memory_bytes in speed.llm)",
            )
        else:
            limit = "the model's context"
            remedy = (
                "shorten the names or the prompt, or use a model with more (max_model_len in llm.engine_args)"
            )
        error = f"the prompt has {tokens} tokens and {limit} {context}: {remedy}"
        return Result(
            key,
            error=error,
            permanent=not limited_by_memory,
            external=limited_by_memory,
            prompt_tokens=tokens,
        )


class Engine(ABC):
    """Runs a model. One bad request gives one failed result; it never ends the batch."""

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield one result for each request, as they finish, in any order; `requests` is read as needed."""

    @abstractmethod
    def close(self) -> None:
        """Free the model, its memory and its processes."""

    def shared_tokens(self) -> int | None:
        """Tokens at the head of every prompt so far that a prefix cache could share; None if unknown."""
        return None

    def effective(self) -> dict[str, Any] | None:
        """The arguments that the model runs with, defaults filled in; None if unknown."""
        return None
