"""Targets: the files of a dataset's folder, up to what the stages make of their rows."""

import json
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline.base.decode import decode
from pipeline.base.images import probe, small_copies
from pipeline.base.schemas import BROUGHT_CAPTIONS, REJECTS
from pipeline.base.tables import as_table
from pipeline.corpus.captions import INTERPRETATIONS_FILE, with_captions
from pipeline.corpus.folder import read_folder
from pipeline.corpus.tables import Corpus, Rejects
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.summary import summarised
from pipeline.graph.verbalise import verbalise
from tests.fuzz.target import Target, of_file
from tests.pipeline.corpus.source import Source

MAX_PIXELS = 4_000_000


def scene_graphs(folder: Path) -> Target:
    return _dataset_file(folder, "scene_graphs.json")


def triplets(folder: Path) -> Target:
    return _dataset_file(folder, "triplets.json")


def brought_captions(folder: Path) -> Target:
    source = Source(folder / "parks")
    captions = [{"image_id": "train-red", "caption": "A roof."}, {"image_id": "images/val-red.png"}]
    file = source.folder / INTERPRETATIONS_FILE
    file.write_text(json.dumps(captions))
    corpus = read_folder(source.folder, "parks", 1, MAX_PIXELS)

    def attempt() -> None:
        found = with_captions(replace(corpus, rejects=Rejects()), source.folder)
        assert found.captions.num_rows + len(found.rejects.rows) == found.rejects.seen["captions"]
        as_table(found.captions, BROUGHT_CAPTIONS, "parks")
        use_corpus(found)

    return of_file(file, attempt)


def _dataset_file(folder: Path, name: str) -> Target:
    source = Source(folder / "parks")
    source.graphs = [graph for graph in source.graphs if not graph["image_id"].startswith("val")]
    source.graphs[1] |= {"width": 40, "height": 30}
    source.queries[2]["edits"] = [
        {"op": "remove", "kind": "object", "quantity": "1", "name": "roof", "attributes": ["red"],
         "position": "top left"},
        {"op": "add", "kind": "object", "quantity": "1", "name": "roof", "attributes": ["blue"],
         "position": "top left"},
        {"op": "remove", "kind": "relation", "subject": "roof", "predicate": "next to", "object": "tree"},
    ]  # fmt: skip
    source.write()
    return of_file(
        source.folder / name, lambda: use_corpus(read_folder(source.folder, "parks", 1, MAX_PIXELS))
    )


def use_corpus(corpus: Corpus) -> None:
    """Do with the rows what later stages do, and check that every reject says why."""
    rejects = [{"dataset": "parks", **row} for row in corpus.rejects.rows]
    pa.Table.from_pylist(rejects, schema=REJECTS)
    assert all(row["reason"] and row["remedy"] and row["file"] for row in rejects)
    "\n".join(corpus.notes.lines()).encode()
    graphs = {row["image_id"]: graph_from_row(row) for row in corpus.scene_graphs.to_pylist()}
    groups = {image_id: group_objects(graph) for image_id, graph in graphs.items()}
    checker = Checker(vocabulary_of(groups.values()))
    for image_id, graph in graphs.items():
        summarised(graph, 4, 2)
        serialise(groups[image_id]).encode()
        result = checker.check(verbalise(groups[image_id]), groups[image_id])
        assert result.recall is None or 0 <= result.recall <= 1
    for row in corpus.queries.to_pylist():
        edits = edits_from_row(row["edits"])
        assert row["target_id"] in row["target_ids"] and row["reference_id"] not in row["target_ids"]
        if edits is not None:
            wanted = apply_edits(groups[row["reference_id"]], edits)
            summarised(graphs[row["reference_id"]], 4, 2, edits)
            checker.check(verbalise(wanted), wanted)


def image(folder: Path) -> Target:
    """An image file: probed, decoded, and made a thumbnail."""
    import numpy as np

    pixels = np.arange(20 * 14 * 3, dtype=np.uint8).reshape(14, 20, 3)
    seeds = {}
    for ending in ("png", "jpg", "bmp", "webp", "tif"):
        Image.fromarray(pixels).save(folder / f"seed.{ending}")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(folder / "turned.jpg", exif=exif)
    Image.fromarray(pixels).convert("P").save(folder / "palette.png")
    Image.fromarray(pixels).convert("LA").save(folder / "alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 200).save(folder / "deep.png")
    Image.fromarray(pixels[..., 0].astype(np.float32)).save(folder / "float.tif")
    Image.fromarray(pixels).save(folder / "packed.tif", compression="tiff_lzw")
    seeds = [path.read_bytes() for path in sorted(folder.iterdir())]
    path = folder / "image.png"

    def attempt(data: bytes) -> None:
        path.write_bytes(data)
        found = probe(path, MAX_PIXELS)
        if found.error is not None:
            assert found.remedy
            return
        assert found.width > 0 and found.height > 0 and len(found.sha256) == 64
        picture = decode(data, MAX_PIXELS)
        assert picture.size == (found.width, found.height)
        picture.convert("RGB")
        small_copies(data, 32)

    return Target(attempt, seeds)


def modification_row(text: str) -> bytes:
    """A query file with one modification, for further seeds."""
    return json.dumps([{"pair_id": 1, "split": "train", "modification": text}]).encode()
