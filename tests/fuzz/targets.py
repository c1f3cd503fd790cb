"""All targets by name. A new reader, such as that of another kind of dataset, gets a line here.

A target is a function of an empty folder: it puts sound files there and says how they are read.
"""

from collections.abc import Callable
from pathlib import Path

from tests.fuzz import annotations, datasets, images, search, stored, texts
from tests.fuzz.target import Target

TARGETS: dict[str, Callable[[Path], Target]] = {
    "answers": texts.answers,
    "benchmarks": stored.benchmarks,
    "brought_captions": datasets.brought_captions,
    "checkpoint": stored.checkpoint,
    "coco": annotations.coco,
    "dota": annotations.dota,
    "endpoint": texts.endpoint,
    "features": stored.features,
    "geojson": annotations.geojson,
    "image": datasets.image,
    "json_files": stored.json_files,
    "model_folder": stored.model_folder,
    "params": stored.params,
    "prompts": texts.prompts,
    "row_cache": stored.row_cache,
    "raster": images.raster,
    "scene_graphs": datasets.scene_graphs,
    "search": search.search,
    "tables": stored.tables,
    "triplets": datasets.triplets,
    "voc": annotations.voc,
    "world": stored.world,
    "world_file": images.world_file,
    "yolo": annotations.yolo,
}
FOUND = Path(__file__).parent / "found"


def found(name: str) -> list[Path]:
    """Inputs that were once not read cleanly."""
    return sorted(path for path in (FOUND / name).glob("*") if path.is_file())
