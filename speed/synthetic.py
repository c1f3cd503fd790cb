"""A project of any number of images, made at once: few pictures, drawn graphs, exact answers.

The pictures are hard links of a few files. Graphs and queries come from a seeded generator; the features are
random unit vectors, written by the project's own writer. A server on this machine answers every prompt at
once, with the sentences by rule about the graph in the prompt. All of it is the same on every machine.
"""

import asyncio
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.base.expected import Expected
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from pipeline.vision.features import write_features
from pipeline.vision.vlm import load_vlm
from speed.server import ThreadServer

ROOT = Path(__file__).parents[1]
DATASET = "rows"
DIMENSION = 512
SIDE = 32  # pixels of a picture
IMAGES_PER_QUERY = 10
MOST = {"train": 2000, "val": 500, "test": 500}  # queries: tuning and ranking cost queries times images
_PICTURES = 32  # distinct ones of each split; a file system may allow 65,000 links to a file
_IN_FOLDER = 10_000
_BLOCK = 8192
_NAMES = (
    "car", "airplane", "hangar", "tank", "tree", "court", "boat", "house", "truck", "bridge", "pond", "tent",
    "crane", "tower", "bus", "shed", "silo", "barn", "dock", "chapel",
)  # fmt: skip
_COLOURS = ("red", "blue", "green", "white", "black", "yellow", "orange", "purple")
_SCENES = ("airport", "harbour", "village", "farm", "factory", "park")
_PREDICATES = ("next to", "left of", "above")
_MODEL: dict[str, Any] = {  # an open_clip model that is fast, since it is not what is measured
    "embed_dim": DIMENSION,
    "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "head_width": 32, "patch_size": 32},
    "text_cfg": {
        "context_length": 96, "vocab_size": 1024, "hf_tokenizer_name": "tokenizer", "width": 64, "heads": 1,
        "layers": 1,
    },
}  # fmt: skip


def make(folder: Path, images: int, endpoint: str) -> None:
    """Write a project without tables into a new folder.

    Args:
        endpoint: base URL of the server that is to write its texts.

    Raises:
        FileExistsError: the folder is there already.
    """
    folder.mkdir(parents=True)
    (folder / "prompts").symlink_to(ROOT / "prompts")
    (folder / "pipeline").mkdir()
    _write_model(folder / "models/vlm")
    source = folder / "archive" / DATASET
    _write_pictures(source, folder / "pictures", images)
    _write_list(source / "scene_graphs.json", (_graph(number, images) for number in range(images)))
    _write_list(source / "triplets.json", _queries(images))
    write_params(folder, endpoint)


def is_made(folder: Path) -> bool:
    """Whether `make` has come to its end there."""
    return (folder / "params.yaml").is_file()


def write_params(folder: Path, endpoint: str, **pairs: Any) -> None:
    """Write `params.yaml`: the repository's, with what a project of this kind needs; `pairs` are changes."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values |= {"datasets": [DATASET]}
    values["corpus"] |= {"root": "archive"}
    values["pairs"] |= {"within": "dataset", **pairs}
    values["llm"] |= {"engine": "endpoint", "endpoint": endpoint, "model": "rules"}
    values["tune"] |= {"epochs": 1}
    values["comparators"] |= {"epochs": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def change_graph(folder: Path, images: int) -> None:
    """Give an object of one graph the next colour. No query has the graph's image as its reference."""
    number = images - 1
    graph = _graph(number, images)
    file = folder / "archive" / DATASET / "scene_graphs.json"
    old = json.dumps(graph)
    (colour,) = graph["objects"][0]["attributes"]
    graph["objects"][0]["attributes"] = [_COLOURS[(_COLOURS.index(colour) + 1) % len(_COLOURS)]]
    with open(file, encoding="utf-8") as lines, open(f"{file}.new", "w", encoding="utf-8") as changed:
        changed.writelines(
            line.replace(old, json.dumps(graph)) if line.startswith(old) else line for line in lines
        )
    os.replace(f"{file}.new", file)


def write_random_features(folder: Path) -> None:
    """Write what the embed stage writes, of seeded random vectors: `data/features` and its metrics."""
    params, paths = load_params(folder / "params.yaml"), Paths(folder)
    expected = Expected(params, paths)
    table = read_table(paths.images(DATASET), IMAGES, ["image_id", "sha256"], expected.corpus(DATASET))
    vlm = load_vlm(params.vlm, "cpu", folder)
    write_features(
        paths.features(DATASET),
        table["image_id"].to_pylist(),
        table["sha256"].to_pylist(),
        _unit_vectors(table.num_rows),
        dimension=DIMENSION,
        dtype=params.embed.dtype,
        made_from=expected.features(DATASET, vlm.identity),
    )
    rows = {name: {"rows": table.num_rows, "dimension": DIMENSION} for name in (DATASET, "all")}
    write_metrics(paths.metrics("embed"), {"model": vlm.identity, **rows})


class RulesServer(ThreadServer):
    """An OpenAI-compatible server in a thread, which says the graph of a prompt by rule; `asked` counts.

    A modification is one of `_queries`: it adds a group.
    """

    def __init__(self) -> None:
        self.asked = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                if head.startswith("GET"):
                    answer: dict[str, Any] = {"data": [{"id": "rules", "root": "rules"}]}
                else:
                    fields = dict(line.split(": ", 1) for line in head.lower().split("\r\n")[1:] if line)
                    body = json.loads(await reader.readexactly(int(fields["content-length"])))
                    self.asked += 1
                    answer = _completion(said(body["messages"][-1]["content"]))
                data = json.dumps(answer).encode()
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
        writer.close()


def said(prompt: str) -> str:
    """The sentences by rule about the lines of a prompt, with the group that its modification adds.

    They are those of `pipeline.graph.verbalise`, read off the lines of `pipeline.graph.notation`.
    """
    lines, _, modification = prompt.partition("\nModification: add ")
    first, _, relations = lines.partition("\nrelations:\n- ")
    opening, _, objects = first.partition("objects:\n- ")
    scene = opening.removeprefix("scene: ").strip()
    groups = objects.split("\n- ") + [modification] * bool(modification)
    if len(groups) > 1:
        groups[-2:] = [f"{groups[-2]} and {groups[-1]}"]
    start = f"{'An' if scene[0] in 'aeiou' else 'A'} {scene} scene with {', '.join(groups)}."
    sentences = [f"{line[0].upper()}{line[1:]}." for line in relations.split("\n- ") if line]
    return " ".join([start, *sentences])


def _completion(text: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 100, "completion_tokens": len(text.split())}
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": usage}


def _split(number: int, images: int) -> str:
    """The first 70% are train, then 15% each; so a larger project has the same shares."""
    return "train" if number < 0.7 * images else "val" if number < 0.85 * images else "test"


def _file(number: int) -> str:
    return f"images/{number // _IN_FOLDER:04d}/{_id(number)}.png"


def _id(number: int) -> str:
    return f"rows-{number:08d}"


def _graph(number: int, images: int) -> dict[str, Any]:
    """Two to six objects of different names, of which each stands alone, and a relation of two of them."""
    rng = random.Random(f"graph {number}")
    objects = [
        {
            "object_id": i,
            "name": name,
            "attributes": [rng.choice(_COLOURS)],
            "bbox": {"x": rng.randrange(SIDE - 4), "y": rng.randrange(SIDE - 4), "w": 3, "h": 3},
        }
        for i, name in enumerate(rng.sample(_NAMES, rng.randint(2, 6)))
    ]
    return {
        "image_id": _id(number),
        "file_name": _file(number),
        "split": _split(number, images),
        "width": SIDE,
        "height": SIDE,
        "scene": rng.choice(_SCENES),
        "objects": objects,
        "relationships": [{"subject_id": 0, "predicate": rng.choice(_PREDICATES), "object_id": 1}],
    }


def _queries(images: int) -> Iterator[dict[str, Any]]:
    """Queries that add a group to the first images of each split, up to `MOST`; the last image has none."""
    given = dict.fromkeys(MOST, 0)
    for number in range(0, images - 1, IMAGES_PER_QUERY):
        split = _split(number, images)
        if split != _split(number + 1, images):
            continue
        given[split] += 1
        if given[split] > MOST[split]:
            continue
        rng = random.Random(f"query {number}")
        colour = rng.choice(_COLOURS)
        place = rng.choice(("top", "center", "bottom"))
        group = {"quantity": "1", "name": "lighthouse", "attributes": [colour], "position": place}
        yield {
            "pair_id": f"query-{number:08d}",
            "split": split,
            "reference": _id(number),
            "target": _id(number + 1),
            "targets": [_id(number + 1)],
            "modification": f"add one {colour} lighthouse at the {place}",
            "kind": "add",
            "edits": [{"op": "add", "kind": "object", **group}],
        }


def _write_list(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    """One JSON list, a row a line."""
    with open(file, "w", encoding="utf-8") as out:
        for number, row in enumerate(rows):
            out.write((",\n" if number else "[\n") + json.dumps(row))
        out.write("\n]\n")


def _write_pictures(source: Path, originals: Path, images: int) -> None:
    """Files of distinct noise, so that no picture is like another one, and links to them, by split."""
    from PIL import Image

    rng = np.random.default_rng(0)
    originals.mkdir(parents=True)
    for split in ("train", "val", "test"):
        for picture in range(_PICTURES):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(originals / f"{split}-{picture}.png")
    for number in range(images):
        if number % _IN_FOLDER == 0:
            (source / _file(number)).parent.mkdir(parents=True)
        os.link(originals / f"{_split(number, images)}-{number % _PICTURES}.png", source / _file(number))


def _write_model(folder: Path) -> None:
    """An open_clip folder with random weights and the embedded encoder's tokenizer."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "models/vlm" / file, folder)
    known = json.loads((ROOT / "models/vlm/open_clip_config.json").read_text())
    (folder / "open_clip_config.json").write_text(json.dumps({**known, "model_cfg": _MODEL}))
    torch.manual_seed(0)
    state = open_clip.CLIP(**_MODEL).state_dict()
    weights = {name: value.contiguous() for name, value in state.items()}
    save_file(weights, folder / "open_clip_model.safetensors")


def _unit_vectors(rows: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(0)
    for start in range(0, rows, _BLOCK):
        part = rng.standard_normal((min(_BLOCK, rows - start), DIMENSION), dtype=np.float32)
        yield part / np.linalg.norm(part, axis=1, keepdims=True)


if __name__ == "__main__":
    write_random_features(Path(sys.argv[1]).resolve())
