"""Image features on the machines of a Ray cluster, by Ray Data.

Each replica loads the model once and embeds blocks of images as one machine alone would. Ray repeats the
blocks of a machine that is lost. The machines need this project, the model and the images at the same paths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.errors import Problem, UserError, one_line, parameter_error
from pipeline.base.params import SpeedParams, VlmParams
from pipeline.cluster.connection import RayCluster, import_ray
from pipeline.vision.embedding import Spent, embed_images
from pipeline.vision.reading import Source
from pipeline.vision.vlm import Vlm, load_vlm

FIELD, LOCAL = "speed.embed_engine", "local"
_DATASET_ROWS = 65_536  # of one Ray dataset: bounds the memory; each dataset loads the model again
_BLOCKS = 8  # of a replica at least, so that all end at about the same time
_BLOCK_ROWS = 1024  # of one task at most: they come back together, and a lost machine's are done again
_LOGS = "Read the logs of Ray's workers (/tmp/ray/session_latest/logs on each machine)"


class _Replica:
    """The model in a process of Ray: a table of images in, one of their features, or of a problem, out."""

    def __init__(
        self, params: VlmParams, identity: dict[str, Any], device: str, root: Path, batch: int, cores: int
    ) -> None:
        self._batch, self._cores, self._problem = batch, cores, None
        try:
            self._vlm = load_vlm(params, device, root)
            _check_same(self._vlm.identity, identity)
        except UserError as error:  # an exception here would make Ray start the process again and again
            self._problem = error.problem

    def __call__(self, block: pa.Table) -> pa.Table:
        if self._problem is not None:
            return _problem_table(self._problem)
        sources = [Source(Path(row["path"]), row["sha256"], row["max_pixels"]) for row in block.to_pylist()]
        spent = Spent()
        workers = self._cores if self._cores > 1 else 0
        try:
            blocks = embed_images(
                self._vlm, sources, batch=self._batch, workers=workers, cores=self._cores, spent=spent
            )
            vectors = np.concatenate(list(blocks))
        except UserError as error:
            return _problem_table(error.problem)
        names, rows = [source.sha256 for source in sources], [row.tobytes() for row in vectors]
        return _table(len(rows), name=names, vector=rows, decode=spent.decode, forward=spent.forward)


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


def _problem_table(problem: Problem) -> pa.Table:
    return _table(1, problem=json.dumps(asdict(problem)))


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
    batch: int,
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
    cluster = RayCluster(import_ray(FIELD, LOCAL), speed.ray.address)
    try:
        for start in range(0, len(sources), _DATASET_ROWS):
            piece = sources[start : start + _DATASET_ROWS]
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
    data = cluster.ray.data
    done = data.from_arrow(_blocks(sources, root, batch, replicas)).map_batches(
        _Replica,
        fn_constructor_args=(params, vlm.identity, "cpu" if on_cpus else "cuda", root, batch, cores),
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
        raise UserError(f"Ray gave up {len(missing)} images: {reason}", remedy, file=first)


def _blocks(sources: Sequence[Source], root: Path, batch: int, replicas: int) -> list[pa.Table]:
    """The images in blocks of whole batches, so that batches are those that one machine alone would have."""
    batches = min(_BLOCK_ROWS // batch, len(sources) // (batch * replicas * _BLOCKS))
    size = batch * max(1, batches)
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
