"""`params.yaml`, read and checked: an unknown key or impossible value ends a command before any work."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipeline.base.engine_arguments import TEXT, checked_arguments, without_effect
from pipeline.base.model_folder import code_requests
from pipeline.base.sampling import checked_sampling
from pipeline.base.yaml_file import read_mapping, validated

_ALLOWED = "docs/parameters.md lists what is allowed"
LOWEST_TEMPERATURE = 0.01  # of drawing a token; vLLM would raise a lower one to it
LEARNED_TEMPERATURE = (0.01, 1.0)  # trainer.tuning.losses keeps a learned temperature within these bounds

# what a renderer of chat templates gives a template itself, or takes as an argument of its own
_RENDERERS = {
    "messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message", "tokenize", "padding", "truncation", "max_length", "return_tensors",
    "return_dict", "return_assistant_tokens_mask", "tokenizer_kwargs", "processor_kwargs",
}  # fmt: skip


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("the value must be a number, not true or false")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("the text holds a character that cannot be printed")
    return value


def _temperature(value: float) -> float:
    if 0 < value < LOWEST_TEMPERATURE:
        raise ValueError(f"above 0 it must be at least {LOWEST_TEMPERATURE:g}, which is as good as greedy")
    return value


def _variables(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot be the name of a template's variable")
        if name in _RENDERERS:
            raise ValueError(f"'{name}' is given to the template by whoever renders it")
    return value


Number = Annotated[float, BeforeValidator(_number)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]
Percentage = Annotated[Number, Field(ge=0, le=100)]
NotNegative = Annotated[Number, Field(ge=0)]
FromZero = Annotated[int, Field(ge=0, le=10**9, strict=True)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]
TrueOrFalse = Annotated[bool, Field(strict=True)]
FromTwo = Annotated[int, Field(ge=2, strict=True)]
Text = Annotated[str, Field(strict=True)]  # YAML's !!binary is none
Name = Annotated[Text, Field(min_length=1), AfterValidator(_printable)]  # of a model, file, folder or server
Temperature = Annotated[Number, Field(ge=0, le=2), AfterValidator(_temperature)]  # 0 is greedy
AboveZero = Annotated[Temperature, Field(gt=0)]
EngineArguments = Annotated[dict[str, Any], AfterValidator(checked_arguments)]
Variables = Annotated[dict[Text, JsonValue], AfterValidator(_variables)]  # of a chat template


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class CorpusParams(_Section):
    root: Name
    max_reject_share: Share
    max_pixels: Annotated[int, Field(ge=1, le=10**12, strict=True)]
    allow_shared_images: bool
    bands: tuple[Count, ...] | None
    stretch: tuple[Percentage, Percentage]
    tile_size: Annotated[int, Field(ge=16, le=10**6, strict=True)] | None
    tile_overlap: FromZero
    tile_keep: Annotated[Number, Field(gt=0.5, le=1)]
    tile_drop_cut: TrueOrFalse
    tile_objects: tuple[FromZero, FromZero] | None
    colours: TrueOrFalse
    place: Name | None
    split_shares: tuple[Share, Share, Share]
    split_seed: FromZero
    near_duplicates: Literal["group", "count"]
    allow_shared_places: TrueOrFalse

    @field_validator("bands")
    @classmethod
    def _one_or_three(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and len(value) not in (1, 3):
            raise ValueError("name three bands, for red, green and blue, or one for grey")
        return value

    @field_validator("stretch", "tile_objects")
    @classmethod
    def _in_order(cls, value: tuple[float, float] | None, info: ValidationInfo) -> tuple[float, float] | None:
        if value is not None and (
            value[0] > value[1] or (info.field_name == "stretch" and value[0] == value[1])
        ):
            raise ValueError("the first number must be the lower one")
        return value

    @field_validator("split_shares")
    @classmethod
    def _all_images(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if abs(sum(value) - 1) > 1e-6:
            raise ValueError(f"the shares must sum to 1, not {sum(value):g}")
        return value

    @model_validator(mode="after")
    def _tiles_move_on(self) -> "CorpusParams":
        if self.tile_size is not None and self.tile_overlap >= self.tile_size:
            raise ValueError("corpus.tile_overlap must be less than corpus.tile_size")
        return self


class LlmParams(_Section):
    model: Name
    revision: Name | None
    engine: Literal["vllm", "ray", "endpoint"]
    endpoint: Name | None
    temperature: Temperature
    top_p: Annotated[Number, Field(gt=0, le=1)]
    repairs: FromZero
    repair_temperature: AboveZero
    tries: Count
    max_failed_share: Share
    fallback: Literal["none", "rules"]
    thought_tokens: FromZero
    output: Literal["text", "json"]
    max_groups: FromTwo
    max_relations: FromZero
    sampling: Annotated[dict[str, Any], AfterValidator(checked_sampling)] = {}
    chat_template_kwargs: Variables = {}
    images: TrueOrFalse
    image_side: Annotated[int, Field(ge=16, le=10**5, strict=True)]
    engine_args: EngineArguments
    trust_remote_code: TrueOrFalse = False  # whether the model's own code may run

    @model_validator(mode="after")
    def _code_is_asked_for_once(self) -> "LlmParams":
        for field, _ in () if self.trust_remote_code else code_requests(self.engine_args):
            raise ValueError(
                f"'{field}' in engine_args asks for code that comes with a model to be run: remove it, "
                "or read that code and set llm.trust_remote_code to true"
            )
        return self

    @model_validator(mode="after")
    def _endpoint_named(self) -> "LlmParams":
        if self.engine == "endpoint" and not self.endpoint:
            raise ValueError("engine 'endpoint' needs llm.endpoint, the server's base URL")
        return self

    @model_validator(mode="after")
    def _all_is_used(self) -> "LlmParams":
        if found := without_effect(self.engine_args, self.output, self.trust_remote_code):
            raise ValueError(f"'{found[0]}' in engine_args would have no effect: {found[1]}")
        if self.engine == "endpoint":
            server = {
                "engine_args": self.engine_args, "revision": self.revision,
                "trust_remote_code": self.trust_remote_code,
            }  # fmt: skip
            for name in filter(server.get, server):
                raise ValueError(
                    f"llm.{name} would have no effect with engine 'endpoint': the server was started with "
                    "its own. Remove it, and give it to the server"
                )
        return self


class LanguageParams(_Section):
    prompt: Name
    max_tokens: Count


class InterpretParams(LanguageParams):
    prompt_without_graph: Name


class CaptionParams(LanguageParams):
    repair_prompt: Name
    samples: Count
    sample_temperature: AboveZero


class PairsParams(LanguageParams):
    within: Literal["auto", "scene", "place", "dataset"]
    max_facts: Annotated[int, Field(ge=1, le=6, strict=True)]
    per_image: Count
    most: Count
    beside_brought: TrueOrFalse
    write: Literal["rules", "llm"]
    fallback: Literal["rules", "drop"]


class VlmParams(_Section):
    model: Name
    pretrained: Name | None
    precision: Literal["fp32", "fp16", "bf16", "amp_bf16"]
    trust_remote_code: TrueOrFalse = False  # whether the tokenizer's own code may run

    @field_validator("pretrained")
    @classmethod
    def _no_pickle(cls, value: str | None) -> str | None:
        if value and value.endswith((".pt", ".pth", ".bin", ".pkl", ".ckpt")):
            raise ValueError("pickled weights are not loaded: convert the file to .safetensors first")
        return value


class EmbedParams(_Section):
    dtype: Literal["float16", "float32"]


class Weights(_Section):
    """Weights of the similarities in the hybrid one; non-negative, sum 1."""

    triplet: Share
    language: Share
    pseudo_caption: Share

    @model_validator(mode="after")
    def _sum_is_one(self) -> "Weights":
        total = self.triplet + self.language + self.pseudo_caption
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the weights must sum to 1, not {total:g}")
        return self


class Mixture(_Section):
    """Shares of image (a), modification (b) and interpretation (d) in the triplet query.

    The interpretation describes the reference; a share below 0 subtracts that from the image.
    """

    image: Share
    text: Share
    graph: Annotated[Number, Field(ge=-1, le=1)]

    @model_validator(mode="after")
    def _not_zero(self) -> "Mixture":
        if self.image + self.text + abs(self.graph) <= 0:
            raise ValueError("at least one of image, text and graph must not be 0")
        return self


class MethodParams(_Section):
    reference: Literal["removed", "kept"]
    choose: Literal["validation", "learned", "fixed"]
    weights: Weights
    mixture: Mixture


class TuneParams(_Section):
    trainable: Annotated[str, Field(pattern=r"^(all|(last|lora):[1-9][0-9]*)$")]
    precision: Literal["auto", "fp32", "amp_bf16"]
    negatives: Literal["gallery", "batch"]
    hard_negatives: FromZero
    distill: NotNegative
    epochs: FromZero
    patience: Count
    batch_size: FromTwo
    learning_rate: Positive
    weight_decay: NotNegative
    warmup_share: Share
    gradient_clip: Positive
    temperature: Positive
    learn_temperature: bool

    @model_validator(mode="after")
    def _learnable(self) -> "TuneParams":
        low, high = LEARNED_TEMPERATURE
        if self.learn_temperature and not low <= self.temperature <= high:
            raise ValueError(
                f"a learned temperature stays within {low:g} and {high:g}, so it cannot start from "
                f"{self.temperature:g}: change tune.temperature, or set tune.learn_temperature to false"
            )
        return self


class ComparatorParams(_Section):
    epochs: FromZero
    patience: Count
    batch_size: FromTwo
    learning_rate: Positive
    weight_decay: NotNegative
    temperature: Annotated[Number, Field(ge=LEARNED_TEMPERATURE[0], le=LEARNED_TEMPERATURE[1])]


class TrialParams(_Section):
    rate: Positive
    temperature: Positive


class TrialsParams(_Section):
    tune: Annotated[tuple[TrialParams, ...], Field(min_length=1)]
    comparators: tuple[TrialParams, ...]

    @model_validator(mode="after")
    def _same_number(self) -> "TrialsParams":
        if len(self.tune) != len(self.comparators):
            raise ValueError(
                f"{len(self.tune)} trials for tune and {len(self.comparators)} for comparators: "
                "give both the same number"
            )
        return self


class StudyParams(_Section):
    seeds: Count
    trials: TrialsParams


class ReportParams(_Section):
    queries: FromZero
    pictures: FromZero


class RayParams(_Section):
    address: Name | None
    replicas: Count
    cpus_per_replica: Count

    @field_validator("address")
    @classmethod
    def _no_client(cls, value: str | None) -> str | None:
        if value and value.startswith("ray://"):
            raise ValueError(
                "Ray Data cannot run through ray://: run on a machine of the cluster and write host:port"
            )
        return value


class SpeedParams(_Section):
    workers: Annotated[int, Field(ge=1, le=1024, strict=True)]
    device: Literal["auto", "cpu", "cuda"]
    embed_engine: Literal["local", "ray"] = "local"
    embed_batch: Count | Literal["auto"]
    encode_batch: Count
    rank_mib: Count = 512
    llm: EngineArguments
    ray: RayParams
    endpoint_concurrency: Count
    endpoint_timeout_s: Positive
    endpoint_retries: FromZero

    @field_validator("embed_batch", mode="plain")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        if value == "auto" or (type(value) is int and 0 < value <= 10**9):
            return value
        raise ValueError("it should be an integer of at least 1, or auto")

    @field_validator("llm")
    @classmethod
    def _no_text_argument(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in sorted(value.keys() & TEXT):
            raise ValueError(f"'{name}' can change texts: move it to llm.engine_args")
        return value


class Params(_Section):
    """All of `params.yaml`."""

    datasets: Annotated[
        tuple[Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")], ...],
        Field(min_length=1),
    ]
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)]
    corpus: CorpusParams
    pairs: PairsParams
    llm: LlmParams
    interpret: InterpretParams
    caption: CaptionParams
    vlm: VlmParams
    embed: EmbedParams
    method: MethodParams
    tune: TuneParams
    comparators: ComparatorParams
    study: StudyParams
    report: ReportParams
    speed: SpeedParams

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a dataset is named twice")
        if "all" in value:
            raise ValueError("'all' is taken: in the metrics it means all datasets together")
        return value


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown or missing, or a value is impossible.
    """
    values = read_mapping(
        path, "Run the command in the project's folder, or make one by `lempo init`", _ALLOWED
    )
    return validated(Params, values, path, _ALLOWED)
