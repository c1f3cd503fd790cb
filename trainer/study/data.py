"""One dataset as a study reads it: splits, tokens, frozen features and traps, loaded once a process."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl
import torch
from torch import Tensor

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import Vlm, load_vlm
from trainer.methods.graphs import SCENE_GRAPH, Graphs
from trainer.methods.recipes import FrozenFeatures
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.retrieval.splits import Split, load_splits
from trainer.study.graphs import in_words
from trainer.study.traps import trap_indices
from trainer.study.worse_texts import Fault, Values, WorseWriter, rewritten

SPLITS = ("train", "val", "test")


@dataclass
class StudyData:
    """Tables and features of a dataset beside the model, whose text tower jobs tune and put back.

    Attributes:
        vlm: one for all datasets.
        splits: by name, on the model's device.
        texts: of all splits.
        graphs: of every query's reference, by split; `features` puts the features of their words in.
        graph_rows: rows of `texts`, int64 (T,): these words.
        traps: of the test split, by kind: int64 (Q, T).
        alternatives: the further pseudo captions of every query, by split; empty lists where none were drawn.
        gallery_texts: the interpretation of every image of the gallery, by split; None where there is none.
        described, wanted: graphs of every query's reference, as it is and after the query's edits, by split;
            None where one is not known.
        batch: texts that are encoded at a time.
    """

    vlm: Vlm
    splits: dict[str, Split]
    texts: Texts
    graphs: dict[str, Graphs]
    graph_rows: Tensor
    traps: dict[str, Tensor]
    alternatives: dict[str, list[list[str]]]
    gallery_texts: dict[str, list[str | None]]
    described: dict[str, list[GroupGraph | None]]
    wanted: dict[str, list[GroupGraph | None]]
    batch: int

    @cached_property
    def frozen(self) -> dict[str, FrozenFeatures]:
        """Features of all that comparators read, by split; first asked for while the encoder is untuned."""
        return self.features((*TEXT_INPUTS, SCENE_GRAPH))

    def with_worse_texts(self, fault: Fault, share: float, seed: int) -> "StudyData":
        """The same queries, with interpretations and pseudo captions of a worse writer.

        Args:
            fault, share, seed: of `WorseWriter`.
        """
        graphs = (graph for of in (self.described, self.wanted) for split in of.values() for graph in split)
        writer = WorseWriter(fault, share, Values.of(filter(None, graphs)), seed)
        splits = {
            name: rewritten(split, self.described[name], self.wanted[name], writer)
            for name, split in self.splits.items()
        }
        texts = Texts.of(self.vlm, [text for split in splits.values() for text in split.all_texts()])
        return replace(self, splits=splits, texts=texts)

    def encode(self, split: str, inputs: Sequence[str]) -> dict[str, Tensor]:
        """Features (Q, D) of some texts of a split's queries, by the model as it is now."""
        return self.splits[split].encode(self.vlm.model, self.texts, self.batch, inputs)

    def features(self, inputs: Iterable[str]) -> dict[str, FrozenFeatures]:
        """Features of what comparators read, of every split, by the model as it is now.

        Each text is encoded apart: the features of modifications are then the same whatever an LLM writes.
        """
        inputs, graphs = set(inputs), dict[str, Graphs]()
        if SCENE_GRAPH in inputs:
            words = self._encode_words()
            graphs = {name: replace(known, features=words) for name, known in self.graphs.items()}
        texts = [name for name in TEXT_INPUTS if name in inputs]
        return {
            name: FrozenFeatures(
                split, {text: self.encode(name, (text,))[text] for text in texts}, graphs.get(name)
            )
            for name, split in self.splits.items()
        }

    def _encode_words(self) -> Tensor:
        """Features (T, D) of the words of graphs, of which a dataset may have none."""
        if not len(self.graph_rows):
            return torch.empty(0, self.vlm.dimension, device=self.vlm.device)
        return self.texts.features(self.vlm.model, self.graph_rows, self.batch)


def load_study_data(params: Params, paths: Paths, dataset: str, vlm: Vlm) -> StudyData:
    """Read a dataset.

    Raises:
        UserError: a table or the features are missing or do not fit the model.
    """
    expected = Expected(params, paths)
    features = read_features(paths.features(dataset), expected.features(dataset, vlm.identity))
    loaded = load_splits(expected, dataset, features, SPLITS, params.method.reference == "removed")
    expect = expected.pseudo_captions(dataset)
    captions = read_table(
        paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, ["query_id", "alternatives"], expect
    )
    drawn = pl.col("alternatives").list.eval(pl.element().struct.field("text"))
    samples = pl.DataFrame(captions).with_columns(
        drawn.list.filter(pl.element() != "")  # which leaves out null, too
    )
    alternatives = {name: _in_order(samples, split.query_ids) for name, split in loaded.items()}
    expect = expected.interpretations(dataset)
    described = read_table(paths.interpretations(dataset), INTERPRETATIONS, ["image_id", "text"], expect)
    interpretations = pl.DataFrame(described)
    gallery_texts = {name: _in_order(interpretations, split.gallery_ids) for name, split in loaded.items()}
    references = {name: _references(split) for name, split in loaded.items()}
    graphs = _graphs(expected, dataset, {*loaded["test"].gallery_ids}.union(*references.values()))
    said = {image: in_words(graphs.get(image)) for images in references.values() for image in images}
    words = sorted({text for graph in said.values() for text in graph.all_texts()})
    every = [*words, *(text for split in loaded.values() for text in split.all_texts())]
    every += [text for lists in alternatives.values() for texts in lists for text in texts]
    every += [text for lists in gallery_texts.values() for text in lists if text]
    texts, batch = Texts.of(vlm, every), params.speed.encode_batch
    splits = {name: split.to(vlm.device) for name, split in loaded.items()}
    row_of, empty = {text: row for row, text in enumerate(words)}, torch.empty(0, vlm.dimension)
    graphs_of = {
        name: Graphs.of([said[image] for image in images], row_of, empty.to(vlm.device))
        for name, images in references.items()
    }
    traps = _traps(expected, dataset, loaded["test"], graphs)
    rows = texts.rows(words)
    graphs_as_they_are = {name: list(map(graphs.get, images)) for name, images in references.items()}
    edits = _edits(expected, dataset)
    wanted = {
        name: list(map(_edited, graphs_as_they_are[name], _in_order(edits, split.query_ids)))
        for name, split in splits.items()
    }
    further = alternatives, gallery_texts, graphs_as_they_are, wanted
    return StudyData(vlm, splits, texts, graphs_of, rows, traps, *further, batch)


def count_train_queries(expected: Expected, dataset: str) -> int:
    """How many queries the train split has."""
    splits = read_table(expected.paths.pairs(dataset), PAIRS, ["split"], expected.pairs(dataset))["split"]
    return splits.to_pylist().count("train")


def edits_are_known(expected: Expected, dataset: str) -> bool:
    """Whether every query says which facts it changes, so that a pseudo caption can be written by rule."""
    return not _edits(expected, dataset)["edits"].null_count()


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


def _in_order(table: pl.DataFrame, ids: Sequence[str]) -> list[Any]:
    """The values of the second column by their ids in the first one; None for an id that is not there."""
    key, column = table.columns
    return pl.DataFrame({key: ids}).join(table, on=key, how="left", maintain_order="left")[column].to_list()


def _references(split: Split) -> list[str]:
    return [split.gallery_ids[place] for place in split.reference.tolist()]


def _graphs(expected: Expected, dataset: str, images: set[str]) -> dict[str, GroupGraph]:
    """The graphs of some images; those without one are absent."""
    table = read_table(expected.paths.scene_graphs(dataset), SCENE_GRAPHS, expect=expected.corpus(dataset))
    rows = pl.DataFrame(table).filter(pl.col("image_id").is_in(sorted(images))).iter_rows(named=True)
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}


def _edits(expected: Expected, dataset: str) -> pl.DataFrame:
    """The edits of every query by its id, as rows of the table; null where they are not known."""
    table = read_table(expected.paths.pairs(dataset), PAIRS, ["query_id", "edits"], expected.pairs(dataset))
    return pl.DataFrame(table)


def _edited(graph: GroupGraph | None, row: Sequence[Mapping[str, Any]] | None) -> GroupGraph | None:
    edits = edits_from_row(row)
    return None if graph is None or edits is None else apply_edits(graph, edits)


def _traps(
    expected: Expected, dataset: str, test: Split, graphs: Mapping[str, GroupGraph]
) -> dict[str, Tensor]:
    paths = expected.paths
    images = ["reference_id", "target_id", "target_ids"]
    pairs = read_table(paths.pairs(dataset), PAIRS, ["query_id", *images], expected.pairs(dataset))
    tested = pl.DataFrame({"query_id": test.query_ids})
    queries = tested.join(pl.DataFrame(pairs), on="query_id", maintain_order="left")
    return trap_indices(test.gallery_ids, graphs, *(queries[name].to_list() for name in images))
