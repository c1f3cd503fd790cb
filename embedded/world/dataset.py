"""A dataset of the world: reads its `world.yaml`, draws its images, and makes the rows of its tables."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from embedded.world.families import IMAGES_PER_FAMILY, SITES, Family, family, graph_digest
from embedded.world.pictures import write_picture
from embedded.world.scene import scene_graph
from pipeline.base.errors import UserError
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS, SPLITS
from pipeline.base.yaml_file import read_mapping, validated
from pipeline.corpus.tables import Corpus, Rejects
from pipeline.graph.edits import edit_to_row
from pipeline.graph.scene_graph import SceneGraph

WORLD_FILE = "world.yaml"
_ALLOWED = "its keys are theme, seed, image_size and families (train, val, test)"
Row = dict[str, Any]
Tables = tuple[list[Row], list[Row], list[Row]]  # images, scene graphs, queries
Drawn = tuple[str, Tables, list[bytes]]  # a family's split, its rows, the digests of its graphs


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


def read_world(folder: Path) -> WorldConfig:
    """Read and check `world.yaml` in a dataset's folder.

    Raises:
        UserError: the file is missing or no YAML, a key is unknown or missing, or a value is impossible.
    """
    path = folder / WORLD_FILE
    raw = read_mapping(path, _ALLOWED.capitalize(), _ALLOWED.capitalize())
    if "dataset" in raw:
        raise UserError(
            "the key is unknown", "Remove it: the folder's name is the dataset's", file=path, field="dataset"
        )
    config = validated(WorldConfig, {**raw, "dataset": folder.name}, path, _ALLOWED, strict=True)
    if not any(config.families.model_dump().values()):
        raise UserError("no split has a family", "Ask for at least one", file=path, field="families")
    return config


def read_world_corpus(folder: Path, root: Path, image_folder: Path, workers: int, cache: Path) -> Corpus:
    """Draw the world of `root / folder` into `root / image_folder`, which is emptied before.

    The rows come exact, so nothing is rejected.

    Raises:
        UserError: `world.yaml` cannot be used, or its splits would share a scene graph.
    """
    config = read_world(root / folder)
    shutil.rmtree(root / image_folder, ignore_errors=True)
    rows = generate(config, root / image_folder, workers, cache / "world", root)
    schemas = {"images": IMAGES, "scene_graphs": SCENE_GRAPHS, "queries": QUERIES}
    tables = {
        name: pa.Table.from_pylist(table, schema=schema)
        for (name, schema), table in zip(schemas.items(), rows, strict=True)
    }
    rejects = Rejects(seen=Counter({name: len(table) for name, table in tables.items()}))
    counts = {"split_assumed": 0, "answers_removed": 0, "ignored_files": 0}
    return Corpus(**tables, rejects=rejects, counts=counts)


def generate(config: WorldConfig, image_folder: Path, workers: int, cache: Path, root: Path) -> Tables:
    """Draw a dataset: `image_folder/<image_id>.jpg`, and the rows of its three tables.

    Pictures are cached by what they show and the code that draws them: a second call, also one with other
    families or after `image_folder` was emptied, draws only what is new.

    Args:
        config: what to draw.
        image_folder: where the JPEG files go.
        workers: processes that draw.
        cache: folder of cached pictures, `<two letters>/<key>`.
        root: the folder that `path` in the image rows is relative to.

    Returns:
        Rows for IMAGES, SCENE_GRAPHS and QUERIES of `pipeline.base.schemas`, sorted by id.

    Raises:
        UserError: two splits would share a graph.
    """
    image_folder.mkdir(parents=True, exist_ok=True)
    counts = config.families.model_dump()
    jobs = [(split, index) for split in SPLITS for index in range(counts[split])]
    draw = partial(_draw, config, image_folder, cache, root)
    tables: Tables = ([], [], [])
    owner: dict[bytes, str] = {}
    with (
        closing(_all_drawn(draw, jobs, workers)) as families,
        tqdm(total=IMAGES_PER_FAMILY * len(jobs), desc=f"draw {config.dataset}", unit="image") as progress,
    ):
        for split, family_tables, digests in families:
            for digest in digests:
                if owner.setdefault(digest, split) != split:
                    raise UserError(
                        f"{split} and {owner[digest]} would share a scene graph",
                        "Choose another seed, or fewer families",
                        file=f"{config.dataset}/{WORLD_FILE}",
                        field="seed",
                        value=config.seed,
                    )
            for table, rows in zip(tables, family_tables, strict=True):
                table += rows
            progress.update(IMAGES_PER_FAMILY)
    for table, key in zip(tables, ("image_id", "image_id", "query_id"), strict=True):
        table.sort(key=itemgetter(key))
    return tables


def _all_drawn(
    draw: Callable[[tuple[str, int]], Drawn], jobs: list[tuple[str, int]], workers: int
) -> Generator[Drawn, None, None]:
    if workers <= 1 or len(jobs) <= 1:
        yield from map(draw, jobs)
        return
    # spawn: threads of pyarrow or torch in this process would not survive a fork
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        for future in as_completed([pool.submit(draw, job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _draw(config: WorldConfig, image_folder: Path, cache: Path, root: Path, job: tuple[str, int]) -> Drawn:
    """Draw one family: `job` is its split and its index in the split."""
    split, index = job
    drawn = family(config.seed, config.theme, index, split)
    name = f"{config.dataset}-{split}-{index:03d}"
    images, graphs = [], []
    for site, scenes in zip(SITES, drawn.scenes, strict=True):
        for k, scene in enumerate(scenes):
            image_id = f"{name}-{site}-{k:02d}"
            path = image_folder / f"{image_id}.jpg"
            images.append(
                {
                    "image_id": image_id,
                    "split": split,
                    "path": Path(os.path.relpath(path, root)).as_posix(),
                    "sha256": write_picture(scene, config.image_size, path, cache),
                    "width": config.image_size,
                    "height": config.image_size,
                    "family": name,
                }
            )
            graphs.append({"image_id": image_id, **graph_row(scene_graph(scene, config.image_size))})
    digests = [graph_digest(scene) for scene in drawn.scenes[0]]
    return split, (images, graphs, _query_rows(drawn, name)), digests


def _query_rows(drawn: Family, name: str) -> list[Row]:
    rows = []
    for query in drawn.queries:
        base = f"{name}-{SITES[query.site]}"
        target = f"{base}-{query.target:02d}"
        rows.append(
            {
                "query_id": target,
                "split": drawn.split,
                "reference_id": f"{base}-00",
                "target_id": target,
                "target_ids": [target],
                "modification": query.modification,
                "kind": query.change.kind,
                "family": name,
                "edits": [edit_to_row(edit) for edit in query.change.edits(drawn.base)],
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
