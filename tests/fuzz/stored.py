"""Targets: files that people write for the project, and files that it wrote itself."""

import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from embedded.world.dataset import read_world
from pipeline.base.files import canonical_json, remembered
from pipeline.base.metrics_io import read_metrics, write_metrics
from pipeline.base.params import VlmParams, load_params
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_batches, read_table, write_table
from pipeline.captions.row_cache import Entry, RowCache
from pipeline.graph.edits import edits_from_row
from pipeline.graph.table import GraphTable
from pipeline.llm.types import Result
from pipeline.vision.features import read_features, write_features
from pipeline.vision.source import locate
from tests.fuzz.target import Target, of_file, of_files
from tests.pipeline.corpus.source import Source
from tests.trainer.benchmarks import tiny
from trainer.benchmarks.registry import BENCHMARKS, read_split
from trainer.tuning.checkpoint import FILE_NAME, load_checkpoint, save_checkpoint
from trainer.tuning.folder import RECORD_NAME, read_record

ROOT = Path(__file__).parents[2]


def params(folder: Path) -> Target:
    path = Path(shutil.copy(ROOT / "params.yaml", folder / "params.yaml"))
    return of_file(path, lambda: canonical_json(load_params(path).model_dump()).encode())


def world(folder: Path) -> Target:
    path = Path(shutil.copy(ROOT / "worlds/tennis/world.yaml", folder / "world.yaml"))
    return of_file(path, lambda: read_world(folder))


def tables(folder: Path) -> Target:
    """The three tables of a corpus, as the later stages read them."""
    corpus = Source(folder / "parks").read()
    schemas = {"images": IMAGES, "queries": QUERIES, "scene_graphs": SCENE_GRAPHS}
    for name, schema in schemas.items():
        write_table(getattr(corpus, name), folder / f"{name}.parquet", schema, {"dataset": "parks"})

    def read(path: Path) -> None:
        schema = schemas[path.stem]
        rows = read_table(path, schema).to_pylist()
        list(read_batches(path, schema))
        if path.stem == "queries":
            for row in rows:
                edits_from_row(row["edits"])
        if path.stem == "scene_graphs":
            list(GraphTable(path))

    return of_files([folder / f"{name}.parquet" for name in schemas], read)


def features(folder: Path) -> Target:
    vectors = np.eye(3, 4, dtype=np.float32)
    made_from = {"dataset": "parks", "model": "m", "weights_sha256": "0" * 64, "decoder": "d"}
    write_features(
        folder, ["a", "b", "c"], ["0" * 64] * 3, [vectors], dimension=4, dtype="float32", made_from=made_from
    )

    def read(path: Path) -> None:
        found = read_features(folder, made_from)
        assert found.vectors.shape == (len(found.ids), 4) and len(found.row_of) == len(found.sha256)
        np.asarray(found.vectors).sum()

    return of_files([folder / name for name in ("manifest.json", "ids.parquet", "vectors.npy")], read)


def json_files(folder: Path) -> Target:
    """A metrics file, the memory of the cache folder, and the record of a tuned model."""
    write_metrics(folder / "metrics.json", {"all": {"R@1": 12.5, "n": 3, "unknown": None}, "name": "é"})
    write_metrics(folder / "memory.json", {"/a": [1, 2, "hash"]})
    record = {"weights": {"image": 0.5}, "mixture": {"text": 1.0}, "untuned": {"weights": {}, "mixture": {}}}
    write_metrics(folder / RECORD_NAME, record)

    def read(path: Path) -> None:
        if path.name == "metrics.json":
            read_metrics(path)
        elif path.name == "memory.json":
            remembered(path)
        else:
            read_record(folder)

    return of_files([folder / name for name in ("metrics.json", "memory.json", RECORD_NAME)], read)


def row_cache(folder: Path) -> Target:
    """A part of the cache of texts, looked up, summed up and merged."""
    results = [Result("k", text="A car.", finish_reason="stop", output_tokens=3), Result("l", error="no")]
    RowCache(folder).add(
        [
            Entry.of(result, row_key=result.key, model="m", prompt_hash="p", max_tokens=60, failures=0)
            for result in results
        ]
    )
    (part,) = RowCache(folder).parts()
    part = part.rename(
        folder / "part.parquet"
    )  # a part that is named by its hash is not read where it differs

    def read() -> None:
        cache = RowCache(folder)
        try:
            for entry in cache.lookup(["k", "l"], 60).values():
                assert entry.failed or entry.text is not None
        finally:
            cache.summary()

    return of_file(part, read)


def checkpoint(folder: Path) -> Target:
    import torch

    save_checkpoint(folder, {"weight": torch.ones(2, 3), "step": torch.tensor(4)}, {"epoch": 2})

    def read() -> None:
        found = load_checkpoint(folder)
        assert found is None or (isinstance(found[0], dict) and isinstance(found[1], dict))

    return of_file(folder / FILE_NAME, read)


def model_folder(folder: Path) -> Target:
    """The files of a VLM folder that are read before any library loads it."""
    names = (
        "open_clip_config.json",
        "tokenizer_config.json",
        "tokenizer.json",
        "open_clip_model.safetensors",
    )
    for name in names[:3]:
        shutil.copy(ROOT / "models/vlm" / name, folder / name)
    save_file({"logit_scale": np.ones(1, np.float32)}, folder / "open_clip_model.safetensors")
    values = load_params(ROOT / "params.yaml").vlm.model_dump() | {"model": f"local-dir:{folder}"}
    vlm = VlmParams(**values)
    return of_files([folder / name for name in names], lambda _: locate(vlm))


def benchmarks(folder: Path) -> Target:
    """The files of the published benchmarks."""
    makers = {"cirr": tiny.make_cirr, "fashioniq": tiny.make_fashioniq, "circo": tiny.make_circo,
              "patterncom": tiny.make_patterncom}  # fmt: skip
    files = []
    for layout, make in makers.items():
        root = make(folder / layout)
        files += sorted(path for path in root.rglob("*") if path.suffix in (".json", ".csv"))
    files = [
        path for path in files if not any(word in path.name for word in ("train", "test", "shirt", "toptee"))
    ]

    def read(path: Path) -> None:
        layout = path.relative_to(folder).parts[0]
        read_split(layout, folder / layout, BENCHMARKS[layout].splits[0])

    return of_files(files, read)
