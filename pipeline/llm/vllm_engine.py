"""vLLM in this process, kept full by a rolling window of requests."""

import logging
import secrets
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, one_line
from pipeline.base.guard import STOPPED_S, ended_stopped, guarded
from pipeline.base.interrupts import children_without_sigint, received
from pipeline.base.params import LlmParams
from pipeline.llm.chat import ChatRenderer, prompt_tokens
from pipeline.llm.core_death import CoreWatch
from pipeline.llm.prefix import SharedPrefix
from pipeline.llm.types import Engine, Request, Result
from pipeline.llm.vllm_arguments import (
    IN_FLIGHT_PER_SEQUENCE,
    effective_arguments,
    load_error,
    runs_on_cpu,
    vllm_arguments,
)
from pipeline.llm.vllm_images import image_placeholder
from pipeline.llm.vllm_on_cpu import model_in_the_core, threads_of_the_core

log = logging.getLogger(__name__)

MAX_CRASHES = 2  # engine crashes that one request may be part of
MAX_CRASHES_IN_A_ROW = 3  # without a result between them
SHUTDOWN_S = 10.0  # for the engine to end by itself; then it is killed
SHUTDOWN_AFTER_SIGNAL_S = 2.0  # all must have ended soon, and the engine holds nothing to keep


@dataclass
class _Job:
    """A request, and how many crashes of the engine it was in flight in."""

    request: Request
    crashes: int = 0


class VllmEngine(Engine):
    """Loads the model on construction; the arguments are those of `vllm_arguments`.

    Raises:
        UserError: vLLM is not installed, or refuses the arguments or the model.
    """

    def __init__(self, params: LlmParams, speed: dict[str, Any], seed: int, root: Path) -> None:
        self._model = params.model
        self._images, self._placeholder = params.images, None
        self._arguments = vllm_arguments(params, speed, seed, root).completed(runs_on_cpu())
        if params.images:
            self._placeholder = image_placeholder(self._model_config(), self._model)
        self._start()
        self._shared = SharedPrefix(int(self._llm.llm_engine.vllm_config.cache_config.block_size))

    def _model_config(self) -> Any:
        from vllm import EngineArgs

        try:
            return EngineArgs(**self._arguments.engine).create_model_config()
        except Exception as error:
            raise load_error("read the model", self._model, error) from error

    def _start(self) -> None:
        from vllm import LLM

        arguments = self._arguments
        guarded()
        children_without_sigint()
        try:
            engine = model_in_the_core(arguments.engine) if runs_on_cpu() else arguments.engine
            with threads_of_the_core(engine):
                self._llm = LLM(**engine, chat_template=_harmless_template())
        except Exception as error:
            raise load_error("load the model", self._model, error) from error
        self._death = CoreWatch(self._llm.llm_engine.engine_core)
        self._lora = _lora_request(arguments.lora) if arguments.lora else None
        config = self._llm.llm_engine.vllm_config
        model = config.model_config
        self._context = int(model.max_model_len)
        self._limited_by_memory = self._context < model.get_and_verify_max_len(model.original_max_model_len)
        self._window = int(config.scheduler_config.max_num_seqs)  # with images, none waits: they take memory
        if not self._images:
            self._window *= IN_FLIGHT_PER_SEQUENCE
        self._chat = ChatRenderer(
            self._llm.get_tokenizer(),
            arguments.chat_template,
            arguments.template_arguments,
            self._placeholder,
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield results as they finish; the window is kept full.

        After a crash of the engine, the requests that were in flight go one by one, so that the one which
        causes it is found.
        """
        source = map(_Job, requests)
        waiting: list[_Job] = []  # put back after a crash
        in_flight: dict[str, _Job] = {}
        crashes = 0  # in a row, without a result between them
        while True:
            try:
                one_by_one = waiting or any(job.crashes for job in in_flight.values())
                while len(in_flight) < (1 if one_by_one else self._window):
                    if not waiting:
                        waiting.extend(islice(source, 1))
                    if not waiting:
                        break
                    submitted = self._submit(waiting[-1].request)
                    job = waiting.pop()  # not before: the engine may have died
                    if isinstance(submitted, Result):
                        yield submitted
                    else:
                        in_flight[submitted] = job
                if not in_flight:
                    return
                outputs = self._llm.llm_engine.step()
            except Exception as error:
                reason, killed = self._reason(error)
                log.warning("the engine died with %d requests in flight: %s", len(in_flight), reason)
                crashes += not in_flight
                for job in in_flight.values():
                    job.crashes += 1
                    if job.crashes < MAX_CRASHES:
                        waiting.append(job)
                    else:
                        crashes += 1
                        yield Result(job.request.key, error=f"the engine died: {reason}", external=killed)
                in_flight.clear()
                self.close()
                if crashes >= MAX_CRASHES_IN_A_ROW:
                    raise UserError(
                        "the engine dies whatever it is asked",
                        "Read its lines above, or give it less memory (max_num_seqs in speed.llm); what was "
                        "generated is kept, so a later run goes on from there",
                        value=reason,
                    ) from error
                self._start()
                continue
            for output in outputs:
                if output.finished and output.request_id in in_flight:
                    crashes = 0
                    yield self._result(in_flight.pop(output.request_id).request, output)

    def shared_tokens(self) -> int:
        """Tokens in the full blocks of the head that all prompts so far have in common."""
        return self._shared.tokens

    def effective(self) -> dict[str, Any]:
        """What vLLM runs with, its own defaults included."""
        return effective_arguments(self._llm.llm_engine.vllm_config)

    def close(self) -> None:
        """Stop the engine's process and free its memory."""
        import torch

        # in the process of its model vLLM takes this away from all others, and forks of it would then hang
        torch.set_num_threads = torch._C.set_num_threads
        llm, self._llm = getattr(self, "_llm", None), None
        if llm is not None:
            try:
                timeout = SHUTDOWN_AFTER_SIGNAL_S if received() else SHUTDOWN_S
                llm.llm_engine.engine_core.shutdown(timeout=timeout)
            except Exception as error:
                log.warning("the engine did not stop cleanly: %s", one_line(error))

    def _reason(self, error: Exception) -> tuple[str, bool]:
        """Why the engine died, and whether something outside, such as the system, killed it."""
        by = self._death.killed_by()
        if ended_stopped():  # the core, or a worker of it
            return f"a process of it was stopped for {STOPPED_S:.0f} s, and then ended", True
        if by is None:
            return one_line(error), False
        hint = ", as the system does where memory is short" if by is signal.SIGKILL else ""
        return f"{by.name} ended its process{hint}", by in (signal.SIGKILL, signal.SIGTERM)

    def _submit(self, request: Request) -> Result | str:
        """Hand a request to the engine; returns its id there, or a failed result."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams
        from vllm.v1.engine.exceptions import EngineDeadError

        tokens = prompt_tokens(self._chat, request, self._context, self._limited_by_memory)
        if isinstance(tokens, Result):
            return tokens
        prompt: dict[str, Any] = {"prompt_token_ids": tokens}
        if request.picture is not None:
            try:
                prompt["multi_modal_data"] = {"image": request.picture.load()}
            except ValueError as error:
                return Result.without_picture(request.key, error)
        schema = request.json_schema
        try:
            sampling = SamplingParams(
                **request.sampling_arguments(self._chat.stops(request.messages)),
                skip_special_tokens=False,  # with them some models mark their thoughts
                structured_outputs=None if schema is None else StructuredOutputsParams(json=schema),
            )
            (name,) = self._llm.enqueue(prompt, sampling, lora_request=self._lora, use_tqdm=False)
        except EngineDeadError:
            raise
        except Exception as error:
            return Result(request.key, error=one_line(error))
        shared = self._chat.before_image(tokens) if request.picture is not None else len(tokens)
        self._shared.add(tokens[:shared])
        return name.rpartition("-")[0]  # outputs come without the suffix

    def _result(self, request: Request, output: Any) -> Result:
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            return Result(request.key, error=f"the engine ended the request: {completion.finish_reason}")
        return Result(
            request.key,
            text=self._chat.answer(request, completion.text),
            finish_reason=completion.finish_reason,
            prompt_tokens=len(output.prompt_token_ids or ()),
            output_tokens=len(completion.token_ids),
            cached_tokens=output.num_cached_tokens,
        )


def _harmless_template() -> str:
    """What vLLM renders once as it starts, in this process and without a limit, in place of the model's own.

    Prompts come to vLLM as tokens, so it renders nothing else. A model's templates may have names, by which
    transformers would take one of them: it cannot know this text.
    """
    return f"{{# {secrets.token_hex()} #}}{{{{ messages[0]['content'] }}}}"


def _lora_request(adapter: str) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, adapter)
