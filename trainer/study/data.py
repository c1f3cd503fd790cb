"""One dataset as a study reads it: splits, tokens, frozen features and traps, loaded once a process."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import torch
from torch import Tensor

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import Vlm, load_vlm
from trainer.methods.recipes import FrozenFeatures
from trainer.methods.registry import comparator_inputs
from trainer.retrieval.splits import Split, load_splits
from trainer.study.traps import trap_indices

SPLITS = ("train", "val", "test")


@dataclass
class StudyData:
    """Tables and features of a dataset beside the model, whose text tower jobs tune and put back.

    Attributes:
        vlm: one for all datasets.
        splits: by name, on the model's device.
        texts: of all splits.
        frozen: the untuned encoder's features of the texts that comparators read, by split.
        traps: of the test split, by kind: int64 (Q, T).
        alternatives: the further pseudo captions of every query, by split; empty lists where none were drawn.
        gallery_texts: the interpretation of every image of the gallery, by split; None where there is none.
        batch: texts that are encoded at a time.
    """

    vlm: Vlm
    splits: dict[str, Split]
    texts: Texts
    frozen: dict[str, FrozenFeatures]
    traps: dict[str, Tensor]
    alternatives: dict[str, list[list[str]]]
    gallery_texts: dict[str, list[str | None]]
    batch: int

    def encode(self, split: str, inputs: Sequence[str]) -> dict[str, Tensor]:
        """Features (Q, D) of some texts of a split's queries, by the model as it is now."""
        return self.splits[split].encode(self.vlm.model, self.texts, self.batch, inputs)


def load_study_data(params: Params, paths: Paths, dataset: str, vlm: Vlm) -> StudyData:
    """Read a dataset.

    Raises:
        UserError: a table or the features are missing or do not fit the model.
    """
    expected = Expected(params, paths)
    features = read_features(paths.features(dataset), expected.features(dataset, vlm.identity))
    loaded = load_splits(expected, dataset, features, SPLITS, params.method.reference == "removed")
    expect = expected.pseudo_captions(dataset)
    samples = _column(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, "query_id", "alternatives", expect)
    alternatives = {
        name: [[sample["text"] for sample in samples[query] if sample["text"]] for query in split.query_ids]
        for name, split in loaded.items()
    }
    expect = expected.interpretations(dataset)
    described = _column(paths.interpretations(dataset), INTERPRETATIONS, "image_id", "text", expect)
    gallery_texts = {name: list(map(described.get, split.gallery_ids)) for name, split in loaded.items()}
    every = [text for split in loaded.values() for text in split.all_texts()]
    every += [text for lists in alternatives.values() for texts in lists for text in texts]
    every += [text for lists in gallery_texts.values() for text in lists if text]
    texts, batch = Texts.of(vlm, every), params.speed.encode_batch
    splits = {name: split.to(vlm.device) for name, split in loaded.items()}

    # each input apart: the features of modifications are then the same whatever an LLM writes
    frozen = {
        name: FrozenFeatures(
            split,
            {text: split.encode(vlm.model, texts, batch, (text,))[text] for text in comparator_inputs()},
        )
        for name, split in splits.items()
    }
    traps = _traps(expected, dataset, loaded["test"])
    return StudyData(vlm, splits, texts, frozen, traps, alternatives, gallery_texts, batch)


def load_model(params: Params, paths: Paths) -> Vlm:
    """The model, in float32."""
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    vlm.model.float()
    return vlm


def copy_text_state(model: Any) -> dict[str, Tensor]:
    """Every parameter outside the vision tower, copied."""
    parameters = model.named_parameters()
    return {name: value.detach().clone() for name, value in parameters if not name.startswith("visual.")}


@torch.no_grad()
def set_text_state(model: Any, state: dict[str, Tensor]) -> None:
    """Give the model the text tower that `copy_text_state` copied."""
    own = dict(model.named_parameters())
    for name, value in state.items():
        own[name].copy_(value)


@contextmanager
def text_tower_put_back(model: Any) -> Iterator[None]:
    """Whatever happens within, the model's text tower is as before at the end."""
    before = copy_text_state(model)
    try:
        yield
    finally:
        set_text_state(model, before)


def _column(
    path: Path, schema: pa.Schema, key: str, column: str, expect: Mapping[str, Any]
) -> dict[str, Any]:
    table = read_table(path, schema, [key, column], expect)
    return dict(zip(table[key].to_pylist(), table[column].to_pylist(), strict=True))


def _traps(expected: Expected, dataset: str, test: Split) -> dict[str, Tensor]:
    paths = expected.paths
    images = ["reference_id", "target_id", "target_ids"]
    pairs = read_table(paths.pairs(dataset), PAIRS, ["query_id", *images], expected.pairs(dataset))
    tested = pl.DataFrame({"query_id": test.query_ids})
    queries = tested.join(pl.DataFrame(pairs), on="query_id", maintain_order="left")
    table = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS, expect=expected.corpus(dataset))
    rows = pl.DataFrame(table).filter(pl.col("image_id").is_in(test.gallery_ids)).iter_rows(named=True)
    graphs = {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}
    return trap_indices(test.gallery_ids, graphs, *(queries[name].to_list() for name in images))
