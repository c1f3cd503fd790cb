"""The queries, the gallery and the texts of one split of one dataset, as tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS
from pipeline.base.tables import read_table
from pipeline.vision.features import Features
from pipeline.vision.texts import Texts
from trainer.retrieval.answers import NONE, Answers, make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.similarity import TEXT_INPUTS, QueryFeatures

_COPIED_MIB = 512  # of a gallery that training holds as float32; a larger one is read anew in each step


@dataclass(frozen=True)
class Split:
    """Q queries and their gallery, all N images of the split, in the order of their ids.

    Attributes:
        query_ids, kinds: Q strings.
        gallery_ids: N strings.
        stored: features of the N images, read as they are used.
        reference: int64 (Q,), the reference's index in the gallery.
        answers: what is right and what is removed.
        texts: Q strings for each of `TEXT_INPUTS`.
        missing_captions: how many queries have no interpretation or no pseudo caption. The modification is
            used instead; in the triplet, where the graph's share may be below 0, an empty text is used.
    """

    query_ids: list[str]
    kinds: list[str]
    gallery_ids: list[str]
    stored: Gallery
    reference: Tensor
    answers: Answers
    texts: dict[str, list[str]]
    missing_captions: int

    def __len__(self) -> int:
        return len(self.query_ids)

    def to(self, device: str) -> "Split":
        """The same split with its tensors on another device."""
        return replace(
            self,
            stored=self.stored.to(device),
            reference=self.reference.to(device),
            answers=self.answers.to(device),
        )

    def part(self, rows: Sequence[int]) -> "Split":
        """Some of the queries, with the whole gallery."""
        which = torch.as_tensor(rows, device=self.reference.device)
        return replace(
            self,
            query_ids=[self.query_ids[row] for row in rows],
            kinds=[self.kinds[row] for row in rows],
            reference=self.reference[which],
            answers=self.answers.rows(which),
            texts={name: [texts[row] for row in rows] for name, texts in self.texts.items()},
        )

    def all_texts(self) -> list[str]:
        """Every text of every query, with repetitions."""
        return [text for name in TEXT_INPUTS for text in self.texts[name]]

    @property
    def image(self) -> Tensor:
        """f_v(r), (Q, D), of every query's reference."""
        return self.stored[self.reference]

    def images(self, rows: Tensor) -> Tensor:
        """f_v(r), (B, D), of some queries' references: for one batch of many, `image` would read them all."""
        return self.stored[self.reference[rows]]

    @cached_property
    def gallery(self) -> Tensor:
        """float32 (N, D), L2-normalised: a copy of all features in memory."""
        return self.stored[:]

    @property
    def trained_on(self) -> Tensor | Gallery:
        """`gallery` for training; of a split that is too large for such a copy, the features as stored."""
        copied = 4 * len(self.stored) * self.stored.vectors.shape[1]  # bytes
        return self.gallery if copied <= _COPIED_MIB * 2**20 else self.stored

    def encode(
        self, model: Any, texts: Texts, batch: int, inputs: Sequence[str] = TEXT_INPUTS
    ) -> dict[str, Tensor]:
        """Features (Q, D) of the named texts of the queries, without gradients; each text is encoded once."""
        rows = torch.cat([texts.rows(self.texts[name]) for name in inputs])
        features = texts.features(model, rows, batch).split(len(self))
        return dict(zip(inputs, features, strict=True))

    def features(self, model: Any, texts: Texts, batch: int) -> QueryFeatures:
        """Features (Q, D) of the references and of all texts, without gradients."""
        return QueryFeatures(self.image, **self.encode(model, texts, batch))


def language_text(modification: str, interpretation: str | None) -> str:
    """The whole query in words: the modification first, so that a short context cuts the interpretation."""
    if not interpretation:
        return modification
    return f"{modification.rstrip(' .')}. {interpretation}"


def load_splits(
    expected: Expected, dataset: str, features: Features, splits: Sequence[str], reference_removed: bool
) -> dict[str, Split]:
    """Read the named splits of a dataset.

    Raises:
        UserError: tables do not belong together, a split has no image or no query, an image has no feature,
            a query's reference or target is not in its split, or it has no right answer once the reference is
            removed.
    """
    paths = expected.paths
    expected.check_captions(dataset)
    columns = ["image_id", "split"]
    images = pl.DataFrame(read_table(paths.images(dataset), IMAGES, columns, expected.corpus(dataset)))
    queries = _queries(expected, dataset)
    loaded = {}
    for split in splits:
        gallery_ids = images.filter(split=split)["image_id"].sort().to_list()
        rows = queries.filter(split=split).sort("query_id")
        if rows.is_empty():
            raise _empty("query", paths.pairs(dataset), split)
        if not gallery_ids:
            raise _empty("image", paths.images(dataset), split)
        stored = _stored(features, gallery_ids, paths.features(dataset))
        index_of = {image_id: index for index, image_id in enumerate(gallery_ids)}
        answers = _answers(rows.to_dicts(), index_of, reference_removed, paths.pairs(dataset))
        incomplete = pl.any_horizontal(pl.col("interpretation", "pseudo_caption").is_null())
        loaded[split] = Split(
            query_ids=rows["query_id"].to_list(),
            kinds=rows["kind"].to_list(),
            gallery_ids=gallery_ids,
            stored=stored,
            reference=torch.tensor([index_of[image_id] for image_id in rows["reference_id"]]),
            answers=answers,
            texts=_texts(rows),
            missing_captions=len(rows.filter(incomplete)),
        )
    return loaded


def tokens_hash(splits: Mapping[str, Split], texts: Texts) -> str:
    """Hex sha256 of the tokens of all texts of some splits: another tokenizer has another one."""
    distinct = sorted({text for split in splits.values() for text in split.all_texts()})
    return hashlib.sha256(texts.tokens[texts.rows(distinct)].numpy().tobytes()).hexdigest()


def _queries(expected: Expected, dataset: str) -> pl.DataFrame:
    """All queries, with the interpretation of their reference and their pseudo caption; null if missing."""
    paths = expected.paths
    columns = ["query_id", "split", "reference_id", "target_id", "target_ids", "modification", "kind"]
    queries = pl.DataFrame(read_table(paths.pairs(dataset), PAIRS, columns, expected.pairs(dataset)))
    described = read_table(
        paths.interpretations(dataset),
        INTERPRETATIONS,
        ["image_id", "text"],
        expected.interpretations(dataset),
    )
    captions = read_table(
        paths.pseudo_captions(dataset),
        PSEUDO_CAPTIONS,
        ["query_id", "text"],
        expected.pseudo_captions(dataset),
    )
    for name, of, table in (
        ("interpretation", "reference_id", described),
        ("pseudo_caption", "query_id", captions),
    ):
        texts = pl.DataFrame(table.rename_columns([of, name])).with_columns(pl.col(name).replace("", None))
        queries = queries.join(texts, on=of, how="left")
    return queries


def _stored(features: Features, ids: Sequence[str], folder: Path) -> Gallery:
    missing = [image_id for image_id in ids if image_id not in features.row_of]
    if missing:
        reason = f"{len(missing)} images have no feature"
        raise UserError(reason, "Run `dvc repro embed`", file=folder, field="image_id", value=missing[0])
    return Gallery(features.vectors, torch.tensor([features.row_of[image_id] for image_id in ids]))


def _answers(
    queries: Sequence[dict], index_of: Mapping[str, int], reference_removed: bool, file: Path
) -> Answers:
    """The answers; every image of a query must be in its split, and no target may be a removed reference."""
    for query in queries:
        name, reference, target = (query[field] for field in ("query_id", "reference_id", "target_id"))
        images = [("reference_id", reference), ("target_id", target)]
        for field, image_id in [*images, *(("target_ids", image_id) for image_id in query["target_ids"])]:
            if image_id not in index_of:
                reason = f"the image of query {name} is not in its split, {query['split']}"
                remedy = "Run `dvc repro corpus`; no image may be in two splits"
                raise UserError(reason, remedy, file=file, field=field, value=image_id)
        if reference_removed and target == reference:
            reason = f"the target of query {name} is its reference, which is removed from the gallery"
            remedy = "Take the query out of the source, or set method.reference to kept"
            raise UserError(reason, remedy, file=file, field="target_id", value=target)
    try:
        return make_answers(
            [index_of[query["target_id"]] for query in queries],
            [[index_of[target] for target in query["target_ids"]] for query in queries],
            [index_of[query["reference_id"]] if reference_removed else NONE for query in queries],
            len(index_of),
        )
    except ValueError as error:
        remedy = "Run `dvc repro corpus`; target_ids must hold target_id"
        raise UserError(str(error), remedy, file=file) from None


def _texts(queries: pl.DataFrame) -> dict[str, list[str]]:
    """The texts of each of `TEXT_INPUTS`."""
    return {
        "text": queries["modification"].to_list(),
        "graph": queries["interpretation"].fill_null("").to_list(),
        "language": list(map(language_text, queries["modification"], queries["interpretation"])),
        "pseudo_caption": queries["pseudo_caption"].fill_null(queries["modification"]).to_list(),
    }


def _empty(kind: str, file: Path, split: str) -> UserError:
    remedy = "Tuning and evaluation need train, val and test: give some rows of the source this split"
    return UserError(f"the table has no {kind} of this split", remedy, file=file, field="split", value=split)
