"""Searches of 100,000 images, against the bare work that they need. Needs nothing but the packages.

The archive is made up: 100,000 vectors of 512 numbers around 500 centres, in a space of 64 dimensions with
noise in all 512. The model is a ViT-B/32 with random weights, which costs what a trained one costs.
"""

import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from lempo.search.indexing import index_dataset
from lempo.search.searcher import Query, Searcher
from pipeline.base.expected import Expected
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.vision.features import write_features
from pipeline.vision.vlm import Vlm, load_vlm
from speed.figures import Figure, Run, in_turns, seconds, spread

MODEL, DIMENSION, DATASET, BLOCK = "ViT-B-32", 512, "archive", 8192
GRAPH = {
    "objects": [
        {"object_id": 0, "name": "car", "attributes": ["white"]},
        {"object_id": 1, "name": "hangar", "attributes": []},
    ],
    "relationships": [{"subject_id": 0, "predicate": "next to", "object_id": 1}],
}


def measure(run: Run) -> dict[str, Figure]:
    rows, times = run.size(100_000, 1000), run.size(30, 2)
    params, paths = archive(run, rows)
    params = params.model_copy(update={"speed": params.speed.model_copy(update={"device": "cpu"})})
    index = run.folder / ".lempo/index" / DATASET
    done = index_dataset(DATASET, index, params, paths)
    again = seconds(lambda: index_dataset(DATASET, index, params, paths))
    print(f"    index {done.seconds:.1f} s, again without a change {again:.1f} s", flush=True)
    searcher, exact = Searcher(index, params, paths), Searcher(index, params, paths, exact=True)
    picture = run.folder / "reference.png"
    noise = np.random.default_rng(1).integers(0, 255, (256, 256, 3), np.uint8)
    Image.fromarray(noise).save(picture)
    bare = _Bare(load_vlm(params.vlm, params.speed.device, paths.root), rows, picture)

    def by_id(turn: int, where: str | None = None) -> Query:
        return Query(image_id=f"image-{turn:06}", text=f"remove {turn} cars", graph=GRAPH, where=where)

    def by_file(turn: int) -> Query:
        return Query(image=picture, text=f"remove {turn} of the cars", graph=GRAPH)

    works: dict[str, Callable[[int], object]] = {
        "file": lambda turn: searcher.search(by_file(turn)),
        "id": lambda turn: searcher.search(by_id(turn)),
        "filter": lambda turn: searcher.search(by_id(turn, where="date > '2012-01-01'")),
        "exact": lambda turn: exact.search(by_id(turn)),
        "bare": bare.search,
    }
    turn = dict.fromkeys(works, 0)

    def timed(kind: str) -> float:
        turn[kind] += 1  # another text each time
        return 1000 * seconds(lambda: works[kind](turn[kind]))

    for kind in works:
        timed(kind)  # what is read once
    spent = in_turns({kind: lambda kind=kind: timed(kind) for kind in works}, times)  # type: ignore[misc]
    recall = (done.approximate or {}).get("recall_at_10")
    found = f"approximate index with recall at 10 of {recall}" if recall else "every image is compared"
    of = f"{rows} images of {DIMENSION} numbers on {os.cpu_count()} cores, without a language model"
    common = f"{of}; {MODEL} with random weights; {found}; in turns, median of {times} after the first"
    file = (
        f"200 ms a query; the bare work, which embeds the same file and three texts by open_clip and takes "
        f"the best of one product in memory, took {median(spent['bare']):.0f} ms. {common}. An image file as "
        "reference, a text and a scene graph"
    )
    same = f"a file as reference, {median(spent['file']):.0f} ms; an image of the index as reference"
    return {
        "search_100k_ms": spread(spent["file"], "milliseconds", file),
        "search_100k_id_ms": spread(spent["id"], "milliseconds", f"{same}. {common}"),
        "search_100k_filter_ms": spread(
            spent["filter"], "milliseconds", f"{same}, with a filter that keeps half of the images. {common}"
        ),
        "search_100k_exact_ms": spread(
            spent["exact"], "milliseconds", f"{same}, with every image compared. {common}"
        ),
    }


class _Bare:
    """The least that a search must do: embed an image and three texts, multiply, take the best."""

    def __init__(self, vlm: Vlm, rows: int, picture: Path) -> None:
        import torch

        self.vlm, self.picture = vlm, picture
        self.gallery = torch.from_numpy(np.concatenate(list(_vectors(rows))))

    def search(self, turn: int) -> None:
        import torch

        texts = [f"remove {turn} of the cars", f"a car, {turn}", f"remove {turn} cars next to a hangar"]
        with torch.inference_mode():
            pixels = self.vlm.preprocess(Image.open(self.picture).convert("RGB"))[None]
            image = self.vlm.model.encode_image(pixels, normalize=True)
            words = self.vlm.model.encode_text(self.vlm.tokenize(texts), normalize=True)
            (self.gallery @ (image + words.sum(0, keepdim=True)).T).topk(10, dim=0)


def archive(run: Run, rows: int) -> tuple[Params, Paths]:
    """A project with a corpus of `rows` images and their features."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder = run.folder
    torch.manual_seed(0)
    model = open_clip.create_model(MODEL)
    state = {name: value.contiguous().clone() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    base = load_params(run.root / "params.yaml")
    vlm = base.vlm.model_copy(update={"model": MODEL, "pretrained": "model.safetensors"})
    params, paths = base.model_copy(update={"datasets": (DATASET,), "vlm": vlm}), Paths(folder)
    expected, ids = Expected(params, paths), [f"image-{row:06}" for row in range(rows)]
    images: list[dict[str, Any]] = [
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
