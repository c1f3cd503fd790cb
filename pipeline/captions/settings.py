"""What the texts of a stage depend on, apart from its rows: prompt, model, sampling, attempts."""

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.base.params import CaptionParams, InterpretParams, LanguageParams, LlmParams, Params
from pipeline.base.paths import Paths
from pipeline.captions.answer import SCHEMA, asking_for_json
from pipeline.captions.row_cache import row_key, seed_of
from pipeline.captions.rows import Row
from pipeline.captions.stages import LanguageStage
from pipeline.graph.notation import as_json, serialise
from pipeline.graph.scene_graph import GroupGraph
from pipeline.llm.identity import model_identity
from pipeline.llm.model_files import check_llm_files
from pipeline.llm.prompt import Message, PromptTemplate, load_prompt
from pipeline.llm.types import Request, Sampling
from pipeline.llm.vllm_images import check_takes_images

_FORMS = {"graph": serialise, "graph_json": as_json}


@dataclass(frozen=True)
class Attempt:
    """Which text of a row: repairs are numbered from 1, samples from 2, as the first text is sample 1.

    A brought text and one by rule are no attempts of a model; they stand alone.
    """

    kind: Literal["first", "repair", "sample", "brought", "rules"]
    number: int = 1

    @property
    def key_number(self) -> int:
        """The number in row keys: 0 for the first text, 1, 2 ... for repairs and -1, -2 ... for samples."""
        return {"first": 0, "repair": self.number, "sample": 1 - self.number}[self.kind]

    def __str__(self) -> str:
        if self.kind in ("repair", "sample"):
            return f"{self.kind} {self.number}"
        return self.kind if self.number == 1 else "shorter prompts"


SHORTER = Attempt("first", 2)  # a first answer to a prompt that says less of the graph
FIRST, BROUGHT, RULES = Attempt("first"), Attempt("brought"), Attempt("rules")


@dataclass(frozen=True)
class Settings:
    """The parameters of a stage with its prompts and its model's identity; `read_settings` makes them.

    `without_graph` is the prompt for images without a graph; None where a stage gives no text to these.
    `repair` is the prompt of repairs; None where these use the first text's.
    """

    stage: LanguageStage
    params: Params
    template: PromptTemplate
    identity: dict[str, Any]
    without_graph: PromptTemplate | None = None
    repair: PromptTemplate | None = None

    @property
    def section(self) -> LanguageParams:
        return self.stage.section(self.params)

    @property
    def llm(self) -> LlmParams:
        return self.params.llm

    @property
    def json_schema(self) -> dict[str, Any] | None:
        """The schema of every answer; None where answers are plain text."""
        return SCHEMA if self.llm.output == "json" else None

    @property
    def limit(self) -> int:
        """The most tokens of an answer, its thoughts included."""
        return self.section.max_tokens + self.llm.thought_tokens

    def repairs(self) -> list[Attempt]:
        """The further attempts of a text with a fault, in their order."""
        return [Attempt("repair", number) for number in range(1, self.llm.repairs + 1)]

    def samples(self) -> list[Attempt]:
        """The further samples of a row, beyond its first text."""
        count = self.section.samples if isinstance(self.section, CaptionParams) else 1
        return [Attempt("sample", number) for number in range(2, count + 1)]

    def sampling(self, attempt: Attempt) -> Sampling:
        temperature = self.llm.temperature
        if attempt.kind == "repair":
            temperature = self.llm.repair_temperature
        elif attempt.kind == "sample" and isinstance(self.section, CaptionParams):
            temperature = self.section.sample_temperature
        return Sampling.of(temperature, self.llm.top_p, self.params.seed, self.llm.sampling)

    def messages(self, graph: GroupGraph | None = None, **values: str) -> list[Message]:
        """The prompt with the placeholders filled in, those of the graph in the forms that it asks for."""
        if graph is not None:
            values |= {name: say(graph) for name, say in _FORMS.items() if name in self.template.placeholders}
        return self._rendered(self.template, **values)

    def messages_without_graph(self) -> list[Message]:
        """The prompt for an image without a graph."""
        assert self.without_graph is not None, "llm.images is false"
        return self._rendered(self.without_graph)

    def prompt_hash(self, row: Row, attempt: Attempt = FIRST) -> str:
        """Of the prompt that the messages of an attempt come from."""
        if attempt.kind == "repair" and self.repair is not None:
            return self.repair.hash
        alone = self.without_graph if row.given == "image" else None
        return (alone or self.template).hash

    def row_key(self, row: Row, attempt: Attempt) -> str:
        sampling, messages = self.sampling(attempt), self._asked(row, attempt)
        return row_key(self.identity, messages, sampling, self.json_schema, attempt.key_number, row.picture)

    def request(self, key: str, row: Row, attempt: Attempt) -> Request:
        sampling = self.sampling(attempt)
        return Request(
            key=key,
            messages=self._asked(row, attempt),
            sampling=sampling,
            max_tokens=self.limit,
            seed=None if sampling.seed is None else seed_of(key),
            json_schema=self.json_schema,
            picture=row.picture,
        )

    def _asked(self, row: Row, attempt: Attempt) -> list[Message]:
        """The row's messages; of a repair, its last turn after the shared turns of the repair prompt."""
        if attempt.kind != "repair" or self.repair is None:
            return row.messages
        *shared, _ = self._rendered(self.repair)
        return [*shared, row.messages[-1]]

    def _rendered(self, template: PromptTemplate, **values: str) -> list[Message]:
        messages = template.render(**values)
        return messages if self.json_schema is None else asking_for_json(messages)


def read_settings(stage: LanguageStage, params: Params, paths: Paths) -> Settings:
    """Read the prompt and identify the model; nothing is loaded.

    Raises:
        UserError: the prompt or the model's folder is missing or cannot be used, or its files are refused, or
            the model is to be given images and takes none.
    """
    if not stage.pictures:
        params = params.model_copy(update={"llm": params.llm.model_copy(update={"images": False})})
    if params.llm.engine != "endpoint":
        check_llm_files(params.llm, paths.root, local_only=True)
        if params.llm.images:
            check_takes_images(params.llm, paths.root)
    template = load_prompt(paths.root / stage.section(params).prompt, stage.placeholders)
    without_graph = None
    if params.llm.images and isinstance(section := stage.section(params), InterpretParams):
        without_graph = load_prompt(paths.root / section.prompt_without_graph, ())
    repair = None
    if params.llm.repairs and isinstance(section := stage.section(params), CaptionParams):
        repair = load_prompt(paths.root / section.repair_prompt, stage.placeholders)
    identity = model_identity(params.llm, paths.cache, paths.root)
    return Settings(stage, params, template, identity, without_graph, repair)
