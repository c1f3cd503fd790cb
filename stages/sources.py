"""The kinds of dataset that a folder can hold: how each is recognised, checked and read."""

import os
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from pipeline.base.errors import UserError, perhaps
from pipeline.base.params import Params
from pipeline.corpus import folder as files
from pipeline.corpus import registry
from pipeline.corpus.archive import check_archive, images_top, read_archive
from pipeline.corpus.image_files import ImageFiles
from pipeline.corpus.tables import Corpus

WORLD_FILE = "world.yaml"


def check_source(folder: Path) -> None:
    """Refuse a folder that holds neither a world nor images, or sources of two kinds; no image is opened.

    Raises:
        UserError: says what is missing, what is there twice, or what is wrong in a `world.yaml`.
    """
    if not folder.is_dir():
        reason = f"the dataset's folder {folder} is missing"
        beside = sorted(path.name for path in folder.parent.iterdir()) if folder.parent.is_dir() else []
        remedy = (
            f"{perhaps(folder.name, beside)}Correct datasets or corpus.root; a dataset is the folder "
            "<corpus.root>/<name>"
        )
        raise UserError(reason, remedy, file="params.yaml", field="datasets", value=folder.name)
    if not _is_world(folder):
        (files.check_folder if _is_described_by_hand(folder) else check_archive)(folder)
        return
    other = files.GRAPHS_FILE if (folder / files.GRAPHS_FILE).exists() else _annotations(folder)
    if other is not None:
        reason = f"the folder holds both {WORLD_FILE} and {other}"
        raise UserError(reason, "Keep one of them", file=folder)
    _worlds().read_world(folder)


def read_source(
    folder: Path,
    root: Path,
    image_folder: Path,
    params: Params,
    cache: Path,
    only: Collection[str] | None = None,
) -> Corpus:
    """Read the dataset in `folder`, or draw its world.

    Args:
        folder: as the user names it; a relative path is relative to `root`, the project's root.
        image_folder: where images are drawn or rendered, relative to `root`.
        params: `corpus`, and `speed.workers`, processes that draw or decode images.
        cache: folder in which pictures, and what is known of them and of graphs, are kept between runs.
        only: names of the images of an archive that are read, from its folder; None for all.

    Raises:
        UserError: the source as a whole cannot be used.
    """
    workers = params.speed.workers
    if _is_world(root / folder):
        return _worlds().read_world_corpus(folder, root, image_folder, workers, cache)
    if _is_described_by_hand(root / folder):
        limit = params.corpus.max_pixels
        return files.read_folder(root / folder, folder.as_posix(), workers, limit, cache)
    return read_archive(folder, root, image_folder, params, cache / "rendered", only)


def brought(folder: Path) -> tuple[str, ...]:
    """The tables for which the folder has rows of its own; a dataset without such rows is wrong."""
    if _is_world(folder):
        return "images", "scene_graphs", "queries"
    sources = {"scene_graphs": files.GRAPHS_FILE, "queries": files.QUERIES_FILE}
    return "images", *(table for table, name in sources.items() if os.path.lexists(folder / name))


def _is_described_by_hand(folder: Path) -> bool:
    """Whether graphs and queries are brought, and no annotations that graphs could be made of."""
    both = all(os.path.lexists(folder / name) for name in (files.GRAPHS_FILE, files.QUERIES_FILE))
    return both and _annotations(folder) is None


def _annotations(folder: Path) -> str | None:
    """The kind of annotations in a folder, if there are any."""
    kind = registry.kind_of(folder)
    return kind.name if kind is not None and kind.name in registry.ANNOTATED else None


def is_archive(folder: Path) -> bool:
    """Whether scene graphs are made of annotations, or there are images alone."""
    return not _is_world(folder) and not _is_described_by_hand(folder)


def image_files(folder: Path) -> list[str]:
    """The image files of a dataset, from its folder; of a world that is to be drawn there are none.

    Raises:
        UserError: a folder cannot be read.
    """
    if _is_world(folder):
        return []
    return ImageFiles(folder, images_top(folder)).names


def planned(folder: Path) -> tuple[int, dict[str, int]] | None:
    """How many images a world will have, and how many queries each split; None of any other dataset.

    Raises:
        UserError: the world's file cannot be used.
    """
    if not _is_world(folder):
        return None
    worlds = _worlds()
    families: dict[str, int] = worlds.read_world(folder).families.model_dump()
    each = worlds.IMAGES_PER_FAMILY - len(worlds.SITES)  # every image but the bases is a target
    queries = {split: each * count for split, count in families.items()}
    return worlds.IMAGES_PER_FAMILY * sum(families.values()), queries


def drawing_seconds(folder: Path) -> float:
    """Seconds that one process takes to draw one image of a world, measured on a few."""
    worlds = _worlds()
    world = worlds.read_world(folder)
    scenes = worlds.family(world.seed, world.theme, 0, "train").scenes[0]
    with tempfile.TemporaryDirectory() as name:
        since = time.perf_counter()
        for number, scene in enumerate(scenes):
            worlds.write_picture(scene, world.image_size, Path(name) / f"{number}.jpg", Path(name))
        return (time.perf_counter() - since) / len(scenes)


def _is_world(folder: Path) -> bool:
    return os.path.lexists(folder / WORLD_FILE)


def _worlds() -> ModuleType:
    """The embedded world, imported only where a folder holds one."""
    from embedded.world import dataset

    return dataset
