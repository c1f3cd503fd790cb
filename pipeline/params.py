"""`params.yaml`, read once and checked: unknown keys and impossible values end a command before any work."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class CorpusParams(_Section):
    root: str
    max_reject_share: Share


class LlmParams(_Section):
    model: str
    revision: str | None
    engine: Literal["vllm", "endpoint"]
    endpoint: str | None
    temperature: Annotated[float, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    repairs: Annotated[int, Field(ge=0)]
    repair_temperature: Positive
    fallback: Literal["none", "rules"]
    engine_args: dict[str, Any]

    @model_validator(mode="after")
    def _endpoint_named(self) -> "LlmParams":
        if self.engine == "endpoint" and not self.endpoint:
            raise ValueError("engine 'endpoint' needs llm.endpoint, the server's base URL")
        return self


class LanguageParams(_Section):
    prompt: str
    max_tokens: Count


class VlmParams(_Section):
    model: str
    pretrained: str | None
    precision: Literal["fp32", "fp16", "bf16"]

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
    """Shares of image, modification and interpretation in the triplet query (a, b, d)."""

    image: Share
    text: Share
    graph: Share

    @model_validator(mode="after")
    def _not_zero(self) -> "Mixture":
        if self.image + self.text + self.graph <= 0:
            raise ValueError("at least one of image, text and graph must be above 0")
        return self


class MethodParams(_Section):
    reference: Literal["removed", "kept"]
    choose: Literal["validation", "fixed"]
    weights: Weights
    mixture: Mixture


class TuneParams(_Section):
    trainable: Annotated[str, Field(pattern=r"^(all|last:[1-9][0-9]*)$")]
    negatives: Literal["gallery", "batch"]
    epochs: Annotated[int, Field(ge=0)]
    patience: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Share
    gradient_clip: Positive
    temperature: Positive
    learn_temperature: bool


class ComparatorParams(_Section):
    epochs: Annotated[int, Field(ge=0)]
    patience: Count
    batch_size: Annotated[int, Field(ge=2)]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]


class ReportParams(_Section):
    queries: Annotated[int, Field(ge=0)]


class SpeedParams(_Section):
    workers: Count
    device: Literal["auto", "cpu", "cuda"]
    embed_batch: Count
    encode_batch: Count
    llm: dict[str, Any]
    endpoint_concurrency: Count
    endpoint_timeout_s: Positive
    endpoint_retries: Annotated[int, Field(ge=0)]


class Params(_Section):
    """All of `params.yaml`."""

    datasets: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")], ...], Field(min_length=1)
    ]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    corpus: CorpusParams
    llm: LlmParams
    interpret: LanguageParams
    caption: LanguageParams
    vlm: VlmParams
    embed: EmbedParams
    method: MethodParams
    tune: TuneParams
    comparators: ComparatorParams
    report: ReportParams
    speed: SpeedParams

    @field_validator("datasets")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a dataset is named twice")
        return value


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown or missing, or a value is impossible.
    """
    raw = _read(path)
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        # a misspelt key is both unknown and missing: the unknown one tells more
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        field = ".".join(str(part) for part in first["loc"]) or None
        reasons = {
            "extra_forbidden": ("the key is unknown", "Remove it, or correct its spelling"),
            "missing": ("the key is missing", "Add it; docs/parameters.md lists every key"),
            "tuple_type": ("the value is no list", "Write a list, as in [airplane, tennis]"),
            "too_short": ("the list is empty", "Name at least one"),
        }
        message = first["msg"].removeprefix("Value error, ").splitlines()[0]
        otherwise = (message, "Correct the value; docs/parameters.md lists what is allowed")
        reason, remedy = reasons.get(first["type"], otherwise)
        value = None if first["type"] == "missing" else first["input"]
        raise UserError(reason, remedy, file=path, field=field, value=value) from None


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        for name in names:
            if names.count(name) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} stands twice", problem_mark=node.start_mark
                )
        return super().construct_mapping(node, deep)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise UserError(
            "there is no such file", "Run the command in the project's folder", file=path
        ) from None
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        raise UserError(reason, "Put a readable file there", file=path) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        raise UserError(
            f"the file is no YAML: {error.problem}{place}", "Correct it there", file=path
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:100]
        raise UserError(f"the file is no YAML: {why}", "Correct it", file=path) from None
    if not isinstance(raw, dict):
        raise UserError("the file holds no keys", "docs/parameters.md lists every key", file=path)
    return raw
