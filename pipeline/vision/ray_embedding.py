"""Image features on the machines of a Ray cluster, by Ray Data.

Each replica loads the model once and embeds blocks of images as one machine alone would. Ray repeats the
blocks of a machine that is lost. The machines need this project, the model and the images at the same paths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.base.errors import Problem, UserError, of_the_machine, one_line, parameter_error
from pipeline.base.params import SpeedParams, VlmParams
from pipeline.cluster.connection import RayCluster, import_ray
from pipeline.vision.batch_size import USUAL, batch_size
from pipeline.vision.embedding import Spent, embed_images, made_by, threads_of_model
from pipeline.vision.reading import Source
from pipeline.vision.vlm import Vlm, load_vlm

FIELD, LOCAL = "speed.embed_engine", "local"
_DATASET_ROWS = 65_536  # of one Ray dataset: bounds the memory; each dataset loads the model again
_BLOCKS = 8  # of a replica at least, so that all end at about the same time
# for each core, of one task: they come back together, and a lost machine's are done again
_BATCHES_ON_GPUS = 16  # each task starts the processes that read images anew
_BATCHES_ON_CPUS = 4  # Ray ends a run in which no task ends for 30 minutes
_LOGS = "Read the logs of Ray's workers (/tmp/ray/session_latest/logs on each machine)"


class _Replica:
    """The model in a process of Ray: a table of images in, one of their features, or of a problem, out."""

    def __init__(
        self,
        params: VlmParams,
        made_as: Mapping[str, Any],
        device: str,
        root: Path,
        batch: int | Literal["auto"],
        images: int,
        cores: int,
    ) -> None:
        self._cores = cores
        self._problem: Problem | None = None
        # an exception here would make Ray start the process again and again
        with self._noted():
            self._vlm = load_vlm(params, device, root)
            _check_same(made_by(self._vlm), made_as)
            threads = threads_of_model(self._vlm, cores, cores)
            self._batch = batch_size(self._vlm, batch, images, threads=threads)

    def __call__(self, block: pa.Table) -> pa.Table:
        sources = [Source(Path(row["path"]), row["sha256"], row["max_pixels"]) for row in block.to_pylist()]
        spent = Spent()
        if self._problem is None:
            with self._noted():
                return self._embedded(sources, spent)
        return _table(1, problem=json.dumps(asdict(self._problem)))

    def _embedded(self, sources: Sequence[Source], spent: Spent) -> pa.Table:
        workers = self._cores if self._cores > 1 else 0
        blocks = embed_images(
            self._vlm, sources, batch=self._batch, workers=workers, cores=self._cores, spent=spent
        )
        rows = [row.tobytes() for block in blocks for row in block]
        names = [source.sha256 for source in sources]
        return _table(len(rows), name=names, vector=rows, decode=spent.decode, forward=spent.forward)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Keep an exception as a problem: Ray would drop the block, and would not say why."""
        try:
            yield
        except Exception as error:
            known = error if isinstance(error, UserError) else of_the_machine(error)
            if known is None:
                remedy = f"Correct vlm.model or its weights, or set {FIELD} to {LOCAL} to see more"
                reason = "the model failed on a machine of the cluster"
                known = parameter_error(reason, remedy, "vlm.model", one_line(error))
            self._problem = known.problem


_SCHEMA = pa.schema(
    {
        "name": pa.string(),
        "vector": pa.binary(),
        "decode": pa.float64(),
        "forward": pa.float64(),
        "problem": pa.string(),
    }
)


def _table(rows: int, **columns: Any) -> pa.Table:
    """A block that a replica gives back; a single value stands in its first row, nulls in the others."""
    given = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
    return pa.table(
        {name: (column := given.get(name, [])) + [None] * (rows - len(column)) for name in _SCHEMA.names},
        _SCHEMA,
    )


def _check_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name in wanted:
        if found.get(name) != wanted[name]:
            raise UserError(
                f"a machine of the cluster has another model than this one: {name} {wanted[name]} here",
                "Give all machines the same model and the same versions",
                file="params.yaml",
                field="vlm.model",
                value=f"{name} {found.get(name)}",
            )


def embed_on_ray(
    vlm: Vlm,
    params: VlmParams,
    speed: SpeedParams,
    root: Path,
    sources: Sequence[Source],
    *,
    spent: Spent,
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield hashes and L2-normalised features (n, D), float32, of blocks of `sources`, as they are done.

    Args:
        vlm: the model as it is here; the replicas must have the same.
        params: of the model that the replicas load.
        root: the folder that relative paths start from, here and on the other machines.

    Raises:
        UserError: Ray is not installed, there is no such cluster or it is lost, the model cannot run there,
            or what `embed_images` raises.
    """
    batch = USUAL if speed.embed_batch == "auto" else speed.embed_batch  # to cut the rows; replicas measure
    cluster = RayCluster(import_ray(FIELD, LOCAL), speed.ray.address)
    try:
        rows = batch * max(1, _DATASET_ROWS // batch)
        for start in range(0, len(sources), rows):
            piece = sources[start : start + rows]
            yield from _embedded(cluster, vlm, params, speed, root.resolve(), piece, batch, spent)
    finally:
        cluster.close()


def _embedded(
    cluster: RayCluster,
    vlm: Vlm,
    params: VlmParams,
    speed: SpeedParams,
    root: Path,
    sources: Sequence[Source],
    batch: int,
    spent: Spent,
) -> Iterator[tuple[list[str], np.ndarray]]:
    missing = {source.sha256: source for source in sources}
    reason = "it gave no reason"
    on_cpus, replicas = cluster.on_cpus(speed.device), speed.ray.replicas
    cores = speed.ray.cpus_per_replica if on_cpus else speed.workers
    at_once = (_BATCHES_ON_CPUS if on_cpus else _BATCHES_ON_GPUS) * cores  # of one task
    arguments = (params, made_by(vlm), "cpu" if on_cpus else "cuda", root)
    data = cluster.ray.data
    done = data.from_arrow(_blocks(sources, root, batch, replicas, at_once)).map_batches(
        _Replica,
        fn_constructor_args=(*arguments, speed.embed_batch, len(sources), cores),
        batch_size=None,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=replicas),
        **({"num_cpus": cores} if on_cpus else {"num_gpus": 1}),
    )
    try:
        with closing(cluster.blocks(done)) as blocks:
            for block in blocks:
                rows = block.to_pylist()
                if rows[0]["problem"] is not None:
                    problem = json.loads(rows[0]["problem"])
                    raise UserError(problem.pop("reason"), problem.pop("remedy"), **problem)
                spent.decode += rows[0]["decode"]
                spent.forward += rows[0]["forward"]
                fresh = [row for row in rows if missing.pop(row["name"], None) is not None]
                if fresh:
                    spent.images += len(fresh)
                    vectors = np.frombuffer(b"".join(row["vector"] for row in fresh), np.float32)
                    yield [row["name"] for row in fresh], vectors.reshape(len(fresh), vlm.dimension)
    except UserError:
        raise
    except Exception as error:
        reason = one_line(error)
        if len(missing) == len(sources):
            remedy = f"{_LOGS}; correct vlm.model or speed.ray, or set {FIELD} to {LOCAL}"
            value = f"{params.model}: {reason}"
            raise parameter_error("Ray could not run the model", remedy, "vlm.model", value) from error
    if missing:
        first = next(iter(missing.values())).path
        remedy = f"{_LOGS}, then run the stage again: what was embedded is kept"
        given_up = f"Ray gave up {len(missing)} images, {first} among them: {reason}"
        raise UserError(given_up, remedy, field=FIELD)


def _blocks(sources: Sequence[Source], root: Path, batch: int, replicas: int, at_once: int) -> list[pa.Table]:
    """The images in blocks of whole batches, so that batches are those that one machine alone would have."""
    size = batch * max(1, min(at_once, len(sources) // (batch * replicas * _BLOCKS)))
    schema = pa.schema([("path", pa.string()), ("sha256", pa.string()), ("max_pixels", pa.float64())])
    return [
        pa.Table.from_pylist(
            [
                {"path": str(root / one.path), "sha256": one.sha256, "max_pixels": float(one.max_pixels)}
                for one in sources[start : start + size]
            ],
            schema,
        )
        for start in range(0, len(sources), size)
    ]
