"""Requests to rows of Ray Data's vLLM processor, and its rows to results."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.errors import one_line
from pipeline.base.sampling import NEUTRAL
from pipeline.llm.chat import ChatRenderer, prompt_tokens
from pipeline.llm.types import Request, Result
from pipeline.llm.vllm_arguments import VllmArguments, load_error
from pipeline.llm.vllm_images import image_placeholder

ROW = "__data"  # the column in which the processor's stages hand on their rows
ERROR = "__inference_error__"  # in it: what went wrong with a row
_FIELDS: list[Any] = [  # what the processor reads, and the key, which it carries along
    ("key", pa.string()),
    ("tokenized_prompt", pa.list_(pa.int32())),
    (
        "sampling_params",
        pa.struct(
            {
                "temperature": pa.float64(),
                "top_p": pa.float64(),
                "seed": pa.int64(),
                "max_tokens": pa.int64(),
                "stop": pa.list_(pa.string()),
                "stop_token_ids": pa.list_(pa.int64()),
                "bad_words": pa.list_(pa.string()),
                "top_k": pa.int64(),
                "min_p": pa.float64(),
                "repetition_penalty": pa.float64(),
                "presence_penalty": pa.float64(),
                "frequency_penalty": pa.float64(),
                "skip_special_tokens": pa.bool_(),
                "structured_outputs": pa.struct({"json": pa.string()}),
            }
        ),
    ),
]


class RayRows:
    """Renders prompts on this machine, as the in-process engine does; the cluster's machines get token ids.

    Args:
        arguments: the engine's; the model's configuration and tokenizer are read, its weights are not.
        images: whether requests come with images.

    Raises:
        UserError: vLLM cannot read the model's configuration or tokenizer, or the model takes no images.
    """

    def __init__(self, arguments: VllmArguments, images: bool = False) -> None:
        from vllm import EngineArgs
        from vllm.tokenizers import cached_tokenizer_from_config

        try:
            config = EngineArgs(**arguments.engine).create_model_config()
            self._tokenizer = cached_tokenizer_from_config(config)
            ends = config.try_get_generation_config().get("eos_token_id")
        except Exception as error:
            raise load_error("read the model", arguments.engine["model"], error) from error
        self._context = int(config.max_model_len)
        placeholder = image_placeholder(config, arguments.engine["model"]) if images else None
        self._ends = {self._tokenizer.eos_token_id, *([ends] if isinstance(ends, int) else ends or ())}
        self._chat = ChatRenderer(
            self._tokenizer, arguments.chat_template, arguments.template_arguments, placeholder
        )
        self._adapter = None if arguments.lora is None else absolute(arguments.lora)

    def row(self, request: Request) -> dict[str, Any] | Result:
        """One row of the processor's input, or a failed result."""
        tokens = prompt_tokens(self._chat, request, self._context)
        if isinstance(tokens, Result):
            return tokens
        sampling = {
            **NEUTRAL,
            **request.sampling_arguments(self._chat.stops(request.messages)),
            # without a seed nothing is drawn; a null beside numbers would make floats of them on the way
            "seed": request.seed or 0,
            "skip_special_tokens": False,  # with them some models mark their thoughts
            "structured_outputs": request.json_schema and {"json": json.dumps(request.json_schema)},
        }
        row: dict[str, Any] = {"key": request.key, "tokenized_prompt": tokens, "sampling_params": sampling}
        if request.picture is not None:
            try:
                row["multimodal_data"] = {"image": request.picture.load()}
            except ValueError as error:
                return Result.without_picture(request.key, error)
        return row if self._adapter is None else {**row, "model": self._adapter}

    def table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """Rows as one block of a Ray dataset; those with images as Python objects, which Ray pickles."""
        if any("multimodal_data" in row for row in rows):
            from ray.data.extensions import ArrowPythonObjectArray

            return pa.table({ROW: ArrowPythonObjectArray.from_objects(rows)})
        adapter = [] if self._adapter is None else [("model", pa.string())]
        return pa.table({ROW: pa.array(rows, pa.struct([*_FIELDS, *adapter]))})

    @staticmethod
    def image_bytes(rows: list[dict[str, Any]]) -> int:
        """Bytes of the images of some rows, as Ray holds them."""
        images = [row["multimodal_data"]["image"] for row in rows if "multimodal_data" in row]
        return sum(3 * image.width * image.height for image in images)

    def result(self, request: Request, row: dict[str, Any]) -> Result:
        """The result of a request, from its row of the processor's output."""
        if row[ERROR]:
            return Result(request.key, error=one_line(row[ERROR]))
        tokens, prompt = row["generated_tokens"], row["num_input_tokens"]
        reason = self._finish_reason(request, tokens, prompt)
        if reason is None:
            return Result(request.key, error=f"the engine ended the request after {len(tokens)} tokens")
        return Result(
            request.key,
            text=self._chat.answer(request, row["generated_text"]),
            finish_reason=reason,
            prompt_tokens=prompt,
            output_tokens=len(tokens),
        )

    def _finish_reason(self, request: Request, tokens: list[int], prompt: int) -> str | None:
        """The processor drops vLLM's finish reason; it follows from the tokens, as vLLM itself finds it."""
        asked = NEUTRAL | request.sampling_arguments(self._chat.stops(request.messages))
        if tokens and tokens[-1] in {*self._ends, *asked["stop_token_ids"]}:
            return "stop"
        if asked["stop"]:
            said = self._tokenizer.decode(tokens)
            if any(stop in said for stop in asked["stop"]):
                return "stop"
        if len(tokens) >= request.max_tokens or prompt + len(tokens) >= self._context:
            return "length"
        return None


def absolute(name: str) -> str:
    """A folder's absolute path: other processes work in other folders. A hub name stays as it is."""
    return str(Path(name).resolve()) if Path(name).is_dir() else name
