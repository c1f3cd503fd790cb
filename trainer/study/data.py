"""One dataset as a study reads it: splits, tokens, frozen features and traps, loaded once a process."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects
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
    """

    vlm: Vlm
    splits: dict[str, Split]
    texts: Texts
    frozen: dict[str, FrozenFeatures]
    traps: dict[str, Tensor]
    alternatives: dict[str, list[list[str]]]
    gallery_texts: dict[str, list[str | None]]


def load_study_data(params: Params, paths: Paths, dataset: str, vlm: Vlm) -> StudyData:
    """Read a dataset.

    Raises:
        UserError: a table or the features are missing or do not fit the model.
    """
    features = read_features(paths.features(dataset), vlm.identity)
    loaded = load_splits(paths, dataset, features, SPLITS, params.method.reference == "removed")
    alternatives = _alternatives(paths, dataset, loaded)
    gallery_texts = _gallery_texts(paths, dataset, loaded)
    every = [text for split in loaded.values() for text in split.all_texts()]
    every += [text for lists in alternatives.values() for texts in lists for text in texts]
    every += [text for lists in gallery_texts.values() for text in lists if text]
    texts = Texts.of(vlm, every)
    splits = {name: split.to(vlm.device) for name, split in loaded.items()}
    batch = params.speed.encode_batch
    frozen = {
        name: FrozenFeatures(split, _by_input(split, vlm, texts, batch)) for name, split in splits.items()
    }
    traps = _traps(paths, dataset, loaded["test"])
    return StudyData(vlm, splits, texts, frozen, traps, alternatives, gallery_texts)


def load_model(params: Params, paths: Paths) -> tuple[Vlm, dict[str, Tensor]]:
    """The model in float32, and a copy of all that tuning can change."""
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    vlm.model.float()
    return vlm, copy_text_state(vlm.model)


def copy_text_state(model: Any) -> dict[str, Tensor]:
    """Every parameter outside the vision tower, copied."""
    return {
        name: value.detach().clone()
        for name, value in model.named_parameters()
        if not name.startswith("visual.")
    }


@torch.no_grad()
def put_back(model: Any, state: dict[str, Tensor]) -> None:
    """Give the model the text tower that `copy_text_state` copied."""
    own = dict(model.named_parameters())
    for name, value in state.items():
        own[name].copy_(value)


def _by_input(split: Split, vlm: Vlm, texts: Texts, batch: int) -> dict[str, Tensor]:
    """Features of each input, encoded apart: those of modifications are the same whatever an LLM writes."""
    return {name: split.encode(vlm.model, texts, batch, (name,))[name] for name in comparator_inputs()}


def _alternatives(paths: Paths, dataset: str, splits: dict[str, Split]) -> dict[str, list[list[str]]]:
    table = read_table(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, ["query_id", "alternatives"])
    texts = {
        row["query_id"]: [sample["text"] for sample in row["alternatives"] if sample["text"]]
        for row in table.to_pylist()
    }
    return {name: [texts[query] for query in split.query_ids] for name, split in splits.items()}


def _gallery_texts(paths: Paths, dataset: str, splits: dict[str, Split]) -> dict[str, list[str | None]]:
    table = read_table(paths.interpretations(dataset), INTERPRETATIONS, ["image_id", "text"])
    texts = dict(zip(table["image_id"].to_pylist(), table["text"].to_pylist(), strict=True))
    return {name: [texts.get(image) for image in split.gallery_ids] for name, split in splits.items()}


def _traps(paths: Paths, dataset: str, test: Split) -> dict[str, Tensor]:
    rows = read_table(paths.queries(dataset), QUERIES).to_pylist()
    by_id = {row["query_id"]: row for row in rows}
    queries = [by_id[query] for query in test.query_ids]
    gallery = set(test.gallery_ids)
    graphs: dict[str, GroupGraph] = {
        row["image_id"]: group_objects(graph_from_row(row))
        for row in read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
        if row["image_id"] in gallery
    }
    return trap_indices(
        test.gallery_ids,
        graphs,
        [row["reference_id"] for row in queries],
        [row["target_id"] for row in queries],
        [row["target_ids"] for row in queries],
    )
