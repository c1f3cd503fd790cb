"""A dataset of the world: its `world.yaml`, and the images, graphs and queries that it stands for."""

import os
from collections.abc import Generator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from embedded.world.families import PLACES, Family, family, graph_digest
from embedded.world.pictures import write_picture
from embedded.world.scene import scene_graph
from pipeline.base.errors import UserError
from pipeline.base.schemas import SPLITS
from pipeline.base.yaml_file import read_mapping, validated
from pipeline.graph.edits import edit_to_row
from pipeline.graph.scene_graph import SceneGraph

WORLD_FILE = "world.yaml"
_ALLOWED = "its keys are theme, seed, image_size and families (train, val, test)"
Row = dict[str, Any]


class Families(BaseModel):
    """How many families each split has; a family is 32 images and 30 queries."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: Annotated[int, Field(ge=0, le=100_000)]
    val: Annotated[int, Field(ge=0, le=100_000)]
    test: Annotated[int, Field(ge=0, le=100_000)]


class WorldConfig(BaseModel):
    """All of a `world.yaml`, and the name of the folder it lies in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str
    theme: Literal["airplane", "tennis", "mixed"]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    image_size: Annotated[int, Field(ge=64, le=512)]
    families: Families


@dataclass(frozen=True)
class _Job:
    """One family to draw, in a process of its own."""

    config: WorldConfig
    split: str
    index: int
    image_folder: Path
    cache: Path
    root: Path


@dataclass(frozen=True)
class _Drawn:
    images: list[Row]
    graphs: list[Row]
    queries: list[Row]
    keys: list[bytes]  # of the graphs of one place


def read_world(folder: Path) -> WorldConfig:
    """Read and check `world.yaml` in a dataset's folder.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown or missing, or a value is impossible.
    """
    path = folder / WORLD_FILE
    raw = read_mapping(path, _ALLOWED.capitalize(), _ALLOWED.capitalize())
    if "dataset" in raw:
        raise UserError(
            "the key is unknown", "Remove it: the folder's name says it", file=path, field="dataset"
        )
    config = validated(WorldConfig, {**raw, "dataset": folder.name}, path, _ALLOWED, strict=True)
    if sum(_count(config, split) for split in SPLITS) == 0:
        raise UserError("no split has a family", "Ask for at least one", file=path, field="families")
    return config


def generate(
    config: WorldConfig,
    image_folder: Path,
    workers: int,
    cache: Path = Path(".lempo/cache/world"),
    root: Path = Path("."),
) -> tuple[list[Row], list[Row], list[Row]]:
    """Draw a dataset: `image_folder/<image_id>.jpg`, and the rows of its three tables.

    Pictures are kept in `cache` by what they show and the code that draws them, so that a second call, also
    one with other families or after `image_folder` was emptied, draws only what is new.

    Args:
        config: what to draw.
        image_folder: where the JPEG files go.
        workers: processes that draw.
        cache: kept pictures, `<two letters>/<key>.jpg`.
        root: the folder that `path` in the image rows is relative to.

    Returns:
        Rows for IMAGES, SCENE_GRAPHS and QUERIES of `pipeline.base.tables`, sorted by id.

    Raises:
        UserError: two splits would share a graph.
    """
    image_folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        _Job(config, split, index, image_folder, cache, root)
        for split in SPLITS
        for index in range(_count(config, split))
    ]
    images: list[Row] = []
    graphs: list[Row] = []
    queries: list[Row] = []
    owner: dict[bytes, str] = {}
    with (
        closing(_drawn(jobs, workers)) as results,
        tqdm(total=32 * len(jobs), desc=f"draw {config.dataset}", unit="image") as progress,
    ):
        for job, drawn in results:
            for key in drawn.keys:
                if owner.setdefault(key, job.split) != job.split:
                    raise UserError(
                        f"{job.split} and {owner[key]} would share a scene graph",
                        "Choose another seed, or fewer families",
                        file=f"{config.dataset}/{WORLD_FILE}",
                        field="seed",
                        value=config.seed,
                    )
            images += drawn.images
            graphs += drawn.graphs
            queries += drawn.queries
            progress.update(len(drawn.images))
    return (
        sorted(images, key=lambda row: row["image_id"]),
        sorted(graphs, key=lambda row: row["image_id"]),
        sorted(queries, key=lambda row: row["query_id"]),
    )


def _count(config: WorldConfig, split: str) -> int:
    return getattr(config.families, split)


def _drawn(jobs: list[_Job], workers: int) -> Generator[tuple[_Job, _Drawn], None, None]:
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, _draw(job)
        return
    # spawn: threads of pyarrow or torch in this process would not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        pending: dict[Future[_Drawn], _Job] = {pool.submit(_draw, job): job for job in jobs}
        for future in as_completed(pending):
            yield pending[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(job: _Job) -> _Drawn:
    config = job.config
    made = family(config.seed, config.theme, job.index, job.split)
    name = f"{config.dataset}-{job.split}-{job.index:03d}"
    images, graphs = [], []
    for place, scenes in zip(PLACES, made.scenes, strict=True):
        for k, scene in enumerate(scenes):
            image_id = f"{name}-{place}-{k:02d}"
            path = job.image_folder / f"{image_id}.jpg"
            images.append(
                {
                    "image_id": image_id,
                    "split": job.split,
                    "path": Path(os.path.relpath(path, job.root)).as_posix(),
                    "sha256": write_picture(scene, config.image_size, path, job.cache),
                    "width": config.image_size,
                    "height": config.image_size,
                    "family": name,
                }
            )
            graphs.append({"image_id": image_id, **graph_row(scene_graph(scene, config.image_size))})
    keys = [graph_digest(scene) for scene in made.scenes[0]]
    return _Drawn(images, graphs, _query_rows(made, name), keys)


def _query_rows(made: Family, name: str) -> list[Row]:
    rows = []
    for query in made.queries:
        place = f"{name}-{PLACES[query.place]}"
        target = f"{place}-{query.target:02d}"
        rows.append(
            {
                "query_id": target,
                "split": made.split,
                "reference_id": f"{place}-00",
                "target_id": target,
                "target_ids": [target],
                "modification": query.modification,
                "kind": query.change.kind,
                "family": name,
                "edits": [edit_to_row(edit) for edit in query.change.edits(made.base)],
            }
        )
    return rows


def graph_row(graph: SceneGraph) -> Row:
    """A scene graph as a row of its table, without the id."""
    return {
        "width": graph.width,
        "height": graph.height,
        "scene": graph.scene,
        "objects": [
            {
                "object_id": node.object_id,
                "name": node.name,
                "attributes": list(node.attributes),
                "bbox": None if node.bbox is None else dict(zip("xywh", node.bbox, strict=True)),
            }
            for node in graph.nodes
        ],
        "relationships": [
            {"subject_id": subject, "predicate": predicate, "object_id": target}
            for subject, predicate, target in graph.relationships
        ],
    }
