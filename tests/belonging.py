"""Tables and folders written by hand, made to belong together: tests change rows, then `sign` the project."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash, write_json
from pipeline.base.metrics_io import metrics_hash, read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import (
    BROUGHT_CAPTIONS,
    FEATURE_IDS,
    IMAGES,
    INTERPRETATIONS,
    PAIRS,
    PSEUDO_CAPTIONS,
    QUERIES,
    RANKINGS,
    SCENE_GRAPHS,
)
from pipeline.base.tables import write_table
from pipeline.vision import features
from stages.pairs import brought
from trainer.tuning import folder as tuned_folder

ROOT = Path(__file__).parents[1]
MODEL = "0" * 64  # what stands for the identity of a language model


def sign(params: Params, paths: Paths, dataset: str) -> None:
    """Write every table and folder of a dataset again, as what the project as it is now asks for.

    Rows stay as they are. Of the corpus, tables that are missing are written without rows; prompts that are
    missing are copied from this project. The queries are those that the corpus brings.
    """
    for name in (params.interpret.prompt, params.caption.prompt, params.caption.repair_prompt):
        if not (paths.root / name).is_file():
            (paths.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, paths.root / name)
    expected = Expected(params, paths)
    corpus = (
        (paths.images, IMAGES),
        (paths.scene_graphs, SCENE_GRAPHS),
        (paths.queries, QUERIES),
        (paths.captions, BROUGHT_CAPTIONS),
    )
    expected.write_corpus(dataset, *(_rows(locate(dataset), schema) for locate, schema in corpus))
    queries = brought(_rows(paths.queries(dataset), QUERIES))
    write_table(queries, paths.pairs(dataset), PAIRS, expected.pairs(dataset))
    for locate, schema, made_from in (
        (paths.interpretations, INTERPRETATIONS, expected.interpretations),
        (paths.pseudo_captions, PSEUDO_CAPTIONS, expected.pseudo_captions),
    ):
        if locate(dataset).is_file():
            rows = _rows(locate(dataset), schema)
            write_table(rows, locate(dataset), schema, made_from(dataset) | {"llm": MODEL})
    if paths.features(dataset).is_dir():
        _sign_features(paths.features(dataset), expected.features(dataset))
    if paths.tuned(dataset).is_dir():
        sign_tuned(paths.tuned(dataset), expected.tuned(dataset))
    if paths.rankings(dataset).is_file():
        sign_rankings(expected, dataset)


def sign_rankings(expected: Expected, dataset: str) -> None:
    """The rankings alone, as those of the metrics that lie beside them."""
    paths = expected.paths
    made_from = expected.rankings(dataset)
    made_from["metrics"] = metrics_hash(paths.metrics("evaluate", dataset))
    if paths.metrics("tune", dataset).is_file():
        made_from["metrics of tune"] = metrics_hash(paths.metrics("tune", dataset))
    if paths.metrics("embed").is_file():
        made_from["vlm"] = identity_hash(read_metrics(paths.metrics("embed"))["model"])
    if paths.tuned(dataset).is_dir():
        made_from["tuned"] = tuned_folder.tuned_provenance(paths.tuned(dataset)).hash
    write_table(_rows(paths.rankings(dataset), RANKINGS), paths.rankings(dataset), RANKINGS, made_from)


def _rows(file: Path, schema: pa.Schema) -> pa.Table:
    return pq.read_table(file) if file.is_file() else schema.empty_table()


def _sign_features(folder: Path, made_from: dict[str, Any]) -> None:
    file = folder / features.MANIFEST_NAME
    manifest = {**json.loads(file.read_text()), **made_from}
    ids = folder / features.IDS_NAME
    write_table(_rows(ids, FEATURE_IDS), ids, FEATURE_IDS)
    write_json(file, manifest | {"content": features.content_hashes(folder)})


def sign_tuned(folder: Path, made_from: Mapping[str, Any]) -> None:
    """A tuned folder alone, with the files that it has now."""
    file = folder / tuned_folder.RECORD_NAME
    said = json.loads(file.read_text())
    del said["content"]
    said["made_from"] |= made_from
    write_json(file, said | {"content": tuned_folder.content_hashes(folder, said)})
