"""The figures of search: `python -m speed.search`. Needs nothing but the packages; takes some minutes.

The archive is made up: 100,000 vectors of 512 numbers around 500 centres, in a space of 64 dimensions with
noise in all 512. The model is a ViT-B/32 with random weights, which costs what a trained one costs.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from lempo.search.indexing import index_dataset
from lempo.search.searcher import Query, Searcher
from pipeline.base.expected import Expected
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.vision.features import write_features
from pipeline.vision.vlm import load_vlm
from speed.results import record

ROOT = Path(__file__).parents[1]
COMMAND = "python -m speed.search"
MODEL, DIMENSION, DATASET, BLOCK = "ViT-B-32", 512, "archive", 8192
GRAPH = {
    "objects": [
        {"object_id": 0, "name": "car", "attributes": ["white"]},
        {"object_id": 1, "name": "hangar", "attributes": []},
    ],
    "relationships": [{"subject_id": 0, "predicate": "next to", "object_id": 1}],
}


def archive(folder: Path, rows: int) -> tuple[Params, Paths]:
    """A project with a corpus of `rows` images and their features."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model(MODEL)
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    base = load_params(ROOT / "params.yaml")
    vlm = base.vlm.model_copy(update={"model": MODEL, "pretrained": "model.safetensors"})
    params, paths = base.model_copy(update={"datasets": (DATASET,), "vlm": vlm}), Paths(folder)
    expected, ids = Expected(params, paths), [f"image-{row:06}" for row in range(rows)]
    images = [
        {"image_id": image_id, "split": "test", "path": f"images/{image_id}.png", "sha256": f"{row:064x}"}
        | {"width": 256, "height": 256, "date": f"{2000 + row % 25}-06-01", "place": f"place {row % 999}"}
        for row, image_id in enumerate(ids)
    ]
    expected.write_corpus(DATASET, images, [], [])
    identity = load_vlm(vlm, params.speed.device, folder).identity
    write_features(
        paths.features(DATASET),
        ids,
        [image["sha256"] for image in images],
        _vectors(rows),
        dimension=DIMENSION,
        dtype=params.embed.dtype,
        made_from=expected.features(DATASET, identity),
    )
    return params, paths


def _vectors(rows: int) -> Any:
    rng = np.random.default_rng(0)
    basis, centres = rng.normal(size=(64, DIMENSION)), rng.normal(size=(500, 64))
    for start in range(0, rows, BLOCK):
        count = min(BLOCK, rows - start)
        inner = centres[rng.integers(0, 500, count)] + 0.7 * rng.normal(size=(count, 64))
        block = inner @ basis + rng.normal(size=(count, DIMENSION))
        yield (block / np.linalg.norm(block, axis=1, keepdims=True)).astype(np.float32)


def _milliseconds(search: Callable[[int], object], times: int) -> list[float]:
    search(-1)  # what is read once
    spent = []
    for turn in range(times):
        start = time.perf_counter()
        search(turn)
        spent.append(1000 * (time.perf_counter() - start))
    return sorted(spent)


def main(
    rows: Annotated[int, typer.Option(min=1000, help="Images of the archive.")] = 100_000,
    times: Annotated[int, typer.Option(min=3, help="Searches; the median counts.")] = 30,
) -> None:
    """Measure searches and write speed/results.json."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        params, paths = archive(folder, rows)
        index = folder / ".lempo/index" / DATASET
        done = index_dataset(DATASET, index, params, paths)
        start = time.perf_counter()
        again = index_dataset(DATASET, index, params, paths)
        print(f"index {done.seconds:.1f} s, again without a change {again.seconds:.1f} s")
        start = time.perf_counter()
        searcher = Searcher(index, params, paths)
        print(f"cold open, the model's load included: {time.perf_counter() - start:.1f} s")
        picture = folder / "reference.png"
        from PIL import Image

        noise = np.random.default_rng(1).integers(0, 255, (256, 256, 3), np.uint8)
        Image.fromarray(noise).save(picture)
        kinds: dict[str, Callable[[int], Query]] = {
            "image": lambda turn: Query(image=picture, text=f"remove {turn} of the cars", graph=GRAPH),
            "id": lambda turn: Query(
                image_id=f"image-{turn + 1:06}", text=f"remove {turn} cars", graph=GRAPH
            ),
            "filter": lambda turn: Query(
                image_id=f"image-{turn + 1:06}", text=f"remove {turn} cars", where="date > '2012-01-01'"
            ),
        }
        spent = {
            kind: _milliseconds(lambda turn, query=query: searcher.search(query(turn)), times)  # type: ignore[misc]
            for kind, query in kinds.items()
        }
        exact = Searcher(index, params, paths, exact=True)
        spent["exact"] = _milliseconds(lambda turn: exact.search(kinds["id"](turn)), times)
        for kind, values in spent.items():
            print(f"{kind}: {median(values):.0f} ms ({values[0]:.0f} to {values[-1]:.0f})")
        recall = (done.approximate or {}).get("recall_at_10")
        found = f"approximate index with recall at 10 of {recall}" if recall else "every image is compared"
        record(
            "search_100k_ms",
            median(spent["image"]),
            "milliseconds",
            f"200 ms a query over {rows} images of {DIMENSION} numbers on {os.cpu_count()} cores, without a "
            f"language model: an image file as reference, a text and a scene graph; {MODEL} with random "
            f"weights, which embeds the file and three texts; {found}; median of {times} after the first. "
            f"With an image of the index as reference {median(spent['id']):.0f} ms, with a filter that keeps "
            f"half of the images {median(spent['filter']):.0f} ms, with every image compared "
            f"{median(spent['exact']):.0f} ms",
            f"{COMMAND} --rows {rows} --times {times}",
            low=spent["image"][0],
            high=spent["image"][-1],
        )


if __name__ == "__main__":
    typer.run(main)
