"""Render the training set: `python -m embedded.vlm.data --out DIR --scenes 30000 --entropy 7001`.

Writes `images.npy` (scenes, size, size, 3) uint8 and `graphs.jsonl`, one graph of groups a line. Scenes are
of the general world (`general_world.py`). They are drawn from an entropy of their own, apart from every
corpus seed, each by itself: no near misses, no queries. With `--families N`, instead, N bases with four edits
each, for evaluation alone, and `kinds.json`. With `--datasets` too, these are of the datasets' own worlds.
"""

import argparse
import json
import os
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from embedded.vlm.encoder import IMAGE_SIZE
from embedded.vlm.general_world import general_family, general_scene, graph_of
from embedded.world.draws import hashed_rng
from embedded.world.edits import random_change
from embedded.world.model import Scene
from embedded.world.pictures import encode_jpeg
from embedded.world.render import render
from embedded.world.scene import sample_base, scene_graph
from embedded.world.vocabulary import DATASETS, EDIT_KINDS
from pipeline.base.files import replacing
from pipeline.graph.scene_graph import Group, GroupGraph, group_objects

FAMILY = 5  # a base and four edits of it
RENDER_SIZE = 256  # pixels; what a corpus stores, then shrunk as open_clip's preprocessing does

Sample = tuple[np.ndarray, str, str]  # pixels, graph, kind of edit or ""


def picture(scene: Scene) -> np.ndarray:
    """The scene as the encoder gets it from a corpus: drawn, through JPEG, shrunk; (size, size, 3) uint8."""
    with Image.open(BytesIO(encode_jpeg(render(scene, RENDER_SIZE)))) as image:
        return np.asarray(image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))


def graph_to_json(graph: GroupGraph) -> str:
    """One line of `graphs.jsonl`."""
    groups = [[g.quantity, g.name, list(g.attributes), g.position] for g in graph.groups]
    return json.dumps([graph.scene, groups, graph.relations])


def graph_from_json(line: str) -> GroupGraph:
    """The inverse of `graph_to_json`."""
    scene, groups, relations = json.loads(line)
    return GroupGraph(
        scene,
        tuple(Group(number, name, tuple(attributes), where) for number, name, attributes, where in groups),
        tuple((subject, predicate, object_) for subject, predicate, object_ in relations),
    )


def read(folder: Path) -> tuple[np.ndarray, list[GroupGraph]]:
    """Memory-mapped images and their graphs."""
    images = np.load(folder / "images.npy", mmap_mode="r")
    graphs = [graph_from_json(line) for line in (folder / "graphs.jsonl").read_text().splitlines()]
    return images[: len(graphs)], graphs


def make_scene(seed: tuple[int, int]) -> list[Sample]:
    """Scene number `seed[1]` of the general world under entropy `seed[0]`."""
    scene = general_scene(hashed_rng("encoder", *seed), seed[1])
    return [(picture(scene), graph_to_json(graph_of(scene)), "")]


def make_family(seed: tuple[int, int]) -> list[Sample]:
    """A base of the general world and `FAMILY - 1` edits of it, of different kinds, at the same site."""
    scenes, kinds = general_family(hashed_rng("encoder families", *seed), seed[1], FAMILY - 1)
    return [(picture(s), graph_to_json(graph_of(s)), kind) for s, kind in zip(scenes, kinds, strict=True)]


def make_dataset_family(seed: tuple[int, int]) -> list[Sample]:
    """The same of the world and the words of dataset number `seed[1]`, counted in turns."""
    rng = hashed_rng("encoder families", *seed)
    while True:
        base = sample_base(rng, DATASETS[seed[1] % len(DATASETS)])
        kinds = [EDIT_KINDS[i] for i in rng.choice(len(EDIT_KINDS), FAMILY - 1, replace=False)]
        changes = [random_change(rng, base, kind) for kind in kinds]
        if all(changes):
            edited = [change.apply(base) for change in changes if change is not None]
            graphs = (graph_to_json(group_objects(scene_graph(s))) for s in (base, *edited))
            return list(zip(map(picture, (base, *edited)), graphs, ("", *kinds), strict=True))


def write(samples: Iterable[Sample], count: int, folder: Path, kinds: bool) -> None:
    """Write a set; `graphs.jsonl`, without which no folder can be read, gets its name last."""
    for name in ("graphs.jsonl", "images.npy", "kinds.json"):
        (folder / name).unlink(missing_ok=True)
    edits = []
    with replacing(folder / "graphs.jsonl") as graphs_file, replacing(folder / "images.npy") as images_file:
        shape = (count, IMAGE_SIZE, IMAGE_SIZE, 3)
        images = np.lib.format.open_memmap(images_file, mode="w+", dtype=np.uint8, shape=shape)
        bar = tqdm(samples, desc=f"render {folder.name}", total=count, unit="scene", disable=None)
        with graphs_file.open("w") as lines:
            for number, (pixels, line, kind) in enumerate(bar):
                images[number] = pixels
                lines.write(line + "\n")
                edits.append(kind)
        images.flush()
        if kinds:
            with replacing(folder / "kinds.json") as kinds_file:
                kinds_file.write_text(json.dumps(edits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenes", type=int, default=0)
    what.add_argument("--families", type=int, default=0)
    parser.add_argument("--datasets", action="store_true", help="families of the datasets' own worlds")
    parser.add_argument("--entropy", type=int, required=True)
    options = parser.parse_args()
    of_families = make_dataset_family if options.datasets else make_family
    make, number = (of_families, options.families) if options.families else (make_scene, options.scenes)
    count = number * (FAMILY if options.families else 1)
    seeds = [(options.entropy, index) for index in range(number)]
    with Pool(len(os.sched_getaffinity(0))) as pool:
        samples = chain.from_iterable(pool.imap(make, seeds, chunksize=8))
        write(samples, count, options.out, kinds=bool(options.families))


if __name__ == "__main__":
    main()
