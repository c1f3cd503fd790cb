"""vLLM on the machines of a Ray cluster, by Ray Data's vLLM processor.

Ray Data feeds the engine's replicas, spreads them over the machines, restarts them, and repeats the work of a
machine that is lost. The machines need Ray, vLLM and the model at the same path, not this project.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, one_line, parameter_error
from pipeline.base.params import LlmParams, SpeedParams
from pipeline.cluster.connection import RayCluster, import_ray
from pipeline.llm.ray_rows import ROW, RayRows, absolute
from pipeline.llm.types import Engine, Request, Result
from pipeline.llm.vllm_arguments import IN_FLIGHT_PER_SEQUENCE, vllm_arguments

DATASET_ROWS = 65_536  # of one Ray dataset: bounds the memory; each dataset loads the engines again
DATASET_IMAGE_BYTES = 4 * 2**30  # of the images of one Ray dataset, which Ray holds, on disk where need be
BATCH_ROWS = 32  # of one task: they come back together, and a lost machine's are done again
MAX_NUM_SEQS = 512  # where the parameters name none: vLLM's own default is 256 or 1,024, by the device


class RayEngine(Engine):
    """Connects to the cluster, or starts one on this machine, on construction; replicas load the model later.

    Args:
        params: model, revision and engine arguments that can change texts.
        speed: further engine arguments (`llm`), the cluster (`ray`), and `device`.
        seed: the engines' own; requests carry theirs.
        root: the folder that relative folders start from.

    Raises:
        UserError: Ray or vLLM is not installed, vLLM refuses the arguments, or there is no such cluster.
    """

    def __init__(self, params: LlmParams, speed: SpeedParams, seed: int, root: Path) -> None:
        self._model = params.model
        ray = import_ray("llm.engine", "vllm")
        arguments = vllm_arguments(params, speed.llm, seed, root)
        self._cluster = RayCluster(ray, speed.ray.address)
        try:
            on_cpu = self._cluster.on_cpus(speed.device)
            arguments = arguments.completed(on_cpu)
            self._effective = {"device": "cpu" if on_cpu else "gpu", **arguments.engine}
            self._rows = RayRows(arguments, params.images)
            self._processor = self._build(dict(arguments.engine), speed, on_cpu)
        except BaseException:
            self.close()
            raise

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        """Yield results as tasks finish.

        Raises:
            UserError: Ray ends the run before the first result, or the cluster is lost.
        """
        source = iter(requests)
        for first in source:
            dataset = chain([first], islice(source, DATASET_ROWS - 1))
            pending: dict[str, Request] = {}
            blocks: list[Any] = []
            image_bytes = 0
            while image_bytes < DATASET_IMAGE_BYTES and (batch := list(islice(dataset, BATCH_ROWS))):
                rows: list[dict[str, Any]] = []
                for request in batch:
                    row = self._rows.row(request)
                    if isinstance(row, Result):
                        yield row
                    else:
                        pending[request.key] = request
                        rows.append(row)
                if rows:
                    image_bytes += self._rows.image_bytes(rows)
                    blocks.append(self._cluster.ray.put(self._rows.table(rows)))
            if blocks:
                yield from self._run(blocks, pending)

    def effective(self) -> dict[str, Any]:
        """The arguments that the replicas get; vLLM's own defaults there are not known here."""
        return self._effective

    def close(self) -> None:
        """Leave the cluster, or end it if it was started here."""
        self._processor = None
        self._cluster.close()

    def _run(self, blocks: list[Any], pending: dict[str, Request]) -> Iterator[Result]:
        """Run one Ray dataset. Requests that Ray gives up are failed results; the next run repeats them."""
        dataset = self._processor(self._cluster.ray.data.from_arrow_refs(blocks))
        reason, total = "it gave no reason", len(pending)
        try:
            with closing(self._cluster.blocks(dataset)) as done:
                for row in (row for block in done for row in block[ROW].to_pylist()):
                    if (request := pending.pop(row["key"], None)) is not None:
                        yield self._rows.result(request, row)
        except UserError:
            raise
        except Exception as error:
            reason = one_line(error)
            if len(pending) == total:
                remedy = (
                    "Read the logs of Ray's workers (/tmp/ray/session_latest/logs on each machine); "
                    "correct llm.model, llm.engine_args, speed.llm or speed.ray"
                )
                value = f"{self._model}: {reason}"
                raise parameter_error("Ray could not run the model", remedy, "llm.model", value) from error
        for request in pending.values():
            yield Result(request.key, error=f"Ray gave the request up: {reason}", external=True)

    def _build(self, engine: dict[str, Any], speed: SpeedParams, on_cpu: bool) -> Any:
        from ray.data.llm import build_processor, vLLMEngineProcessorConfig

        sequences = int(engine.get("max_num_seqs") or MAX_NUM_SEQS)
        config = vLLMEngineProcessorConfig(
            model_source=absolute(engine.pop("model")),
            engine_kwargs={"disable_log_stats": True, **engine},
            concurrency=(speed.ray.replicas, speed.ray.replicas),
            batch_size=BATCH_ROWS,
            max_concurrent_batches=-(-IN_FLIGHT_PER_SEQUENCE * sequences // BATCH_ROWS),
            placement_group_config=_cpu_bundles(engine, speed) if on_cpu else None,
            should_continue_on_error=True,
            log_engine_metrics=False,
            chat_template_stage=False,
            tokenize_stage=False,
            detokenize_stage=False,
        )
        processor = build_processor(config)
        # these only wrap and unwrap the rows' column, in tasks that wait for a core while the replicas run
        processor.preprocess = processor.postprocess = None
        return processor


def _cpu_bundles(engine: dict[str, Any], speed: SpeedParams) -> dict[str, Any]:
    """The CPUs that a replica reserves. On GPUs Ray's own default is right: one for each worker of vLLM."""
    workers = int(engine.get("tensor_parallel_size", 1)) * int(engine.get("pipeline_parallel_size", 1))
    return {"bundles": [{"CPU": speed.ray.cpus_per_replica}] * workers}
