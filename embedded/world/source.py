"""A drawn world as a source of the stage `corpus`: its rows come exact, so nothing is rejected."""

import shutil
from pathlib import Path

import pyarrow as pa

from embedded.world.dataset import generate, read_world
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.corpus.tables import Corpus, Rejects

__all__ = ["read_world", "read_world_corpus"]


def read_world_corpus(folder: Path, root: Path, image_folder: Path, workers: int, cache: Path) -> Corpus:
    """Draw the world of `root / folder` into `root / image_folder`, which is emptied before.

    Raises:
        UserError: `world.yaml` cannot be used, or its splits would share a scene graph.
    """
    config = read_world(root / folder)
    shutil.rmtree(root / image_folder, ignore_errors=True)
    images, graphs, queries = generate(config, root / image_folder, workers, cache / "world", root)
    rejects = Rejects()
    rejects.seen.update({"images": len(images), "scene_graphs": len(graphs), "queries": len(queries)})
    return Corpus(
        pa.Table.from_pylist(images, schema=IMAGES),
        pa.Table.from_pylist(graphs, schema=SCENE_GRAPHS),
        pa.Table.from_pylist(queries, schema=QUERIES),
        rejects,
        {"split_assumed": 0, "answers_removed": 0, "ignored_files": 0},
    )
