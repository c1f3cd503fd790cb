"""The queries, the gallery and the texts of one split of one dataset, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES
from pipeline.base.tables import read_table
from pipeline.vision.features import Features
from pipeline.vision.texts import Texts
from trainer.retrieval.answers import NONE, Answers, make_answers
from trainer.retrieval.similarity import TEXT_INPUTS, QueryFeatures


@dataclass(frozen=True)
class Split:
    """Q queries and their gallery, all N images of the split, in the order of their ids.

    Attributes:
        query_ids, kinds: Q strings.
        gallery_ids: N strings.
        gallery: float32 (N, D), L2-normalised image features.
        reference: int64 (Q,), the reference's place in the gallery.
        answers: what is right and what is removed.
        texts: the text of each part of `TEXT_INPUTS`, Q strings each.
        missing_captions: queries with no interpretation or no pseudo caption. The modification stands for it;
            in the triplet, whose graph may count against an image, an empty text does.
    """

    query_ids: list[str]
    kinds: list[str]
    gallery_ids: list[str]
    gallery: Tensor
    reference: Tensor
    answers: Answers
    texts: dict[str, list[str]]
    missing_captions: int

    def __len__(self) -> int:
        return len(self.query_ids)

    def to(self, device: str) -> "Split":
        """The same split with its tensors on another device."""
        return Split(
            self.query_ids,
            self.kinds,
            self.gallery_ids,
            self.gallery.to(device),
            self.reference.to(device),
            self.answers.to(device),
            self.texts,
            self.missing_captions,
        )

    def all_texts(self) -> list[str]:
        """Every text of every query, repeated as often as it stands there."""
        return [text for part in TEXT_INPUTS for text in self.texts[part]]

    def text_rows(self, texts: Texts) -> dict[str, Tensor]:
        """Rows in `texts` of every part's text: int64 (Q,) each."""
        return {part: texts.rows(self.texts[part]) for part in TEXT_INPUTS}

    @property
    def image(self) -> Tensor:
        """f_v(r), (Q, D), of every query's reference."""
        return self.gallery[self.reference]

    def encode(
        self, model: Any, texts: Texts, batch: int, parts: Sequence[str] = TEXT_INPUTS
    ) -> dict[str, Tensor]:
        """Features (Q, D) of the named parts' texts, without gradients; each text is encoded once."""
        rows = torch.cat([texts.rows(self.texts[part]) for part in parts])
        encoded = texts.features(model, rows, batch).split(len(self))
        return dict(zip(parts, encoded, strict=True))

    def features(self, model: Any, texts: Texts, batch: int) -> QueryFeatures:
        """Features (Q, D) of every part of the queries, without gradients."""
        return QueryFeatures(self.image, **self.encode(model, texts, batch))


def language_text(modification: str, interpretation: str | None) -> str:
    """The whole query in words: the modification first, so that a short context cuts the interpretation."""
    if not interpretation:
        return modification
    return f"{modification.rstrip(' .')}. {interpretation}"


def load_splits(
    paths: Paths, dataset: str, features: Features, splits: Sequence[str], reference_removed: bool
) -> dict[str, Split]:
    """Read the named splits of a dataset.

    Raises:
        UserError: a split has no image or no query, an image has no feature, a query's reference or target is
            not in its split, or it has no right answer once the reference is removed.
    """
    images = read_table(paths.images(dataset), IMAGES, ["image_id", "split"]).to_pylist()
    queries = read_table(paths.queries(dataset), QUERIES).to_pylist()
    interpretations = _texts(paths.interpretations(dataset), INTERPRETATIONS, "image_id")
    captions = _texts(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, "query_id")
    loaded = {}
    for split in splits:
        gallery_ids = sorted(row["image_id"] for row in images if row["split"] == split)
        rows = sorted((row for row in queries if row["split"] == split), key=lambda row: row["query_id"])
        if not rows:
            _refuse_empty("query", paths.queries(dataset), split)
        if not gallery_ids:
            _refuse_empty("image", paths.images(dataset), split)
        place = {image_id: index for index, image_id in enumerate(gallery_ids)}
        c = [interpretations.get(row["reference_id"]) for row in rows]
        p = [captions.get(row["query_id"]) for row in rows]
        m = [row["modification"] for row in rows]
        loaded[split] = Split(
            query_ids=[row["query_id"] for row in rows],
            kinds=[row["kind"] for row in rows],
            gallery_ids=gallery_ids,
            gallery=_gallery(features, gallery_ids, paths, dataset),
            reference=torch.tensor([_place(row, "reference_id", place, paths, dataset) for row in rows]),
            answers=_answers(rows, place, reference_removed, paths, dataset),
            texts={
                "text": m,
                "graph": [said or "" for said in c],
                "language": [language_text(asked, said) for said, asked in zip(c, m, strict=True)],
                "pseudo_caption": [said or asked for said, asked in zip(p, m, strict=True)],
            },
            missing_captions=sum(not said or not wished for said, wished in zip(c, p, strict=True)),
        )
    return loaded


def _texts(path: Any, schema: Any, key: str) -> dict[str, str | None]:
    table = read_table(path, schema, [key, "text"])
    return dict(zip(table[key].to_pylist(), table["text"].to_pylist(), strict=True))


def _gallery(features: Features, ids: list[str], paths: Paths, dataset: str) -> Tensor:
    missing = [image_id for image_id in ids if image_id not in features.row_of]
    if missing:
        raise UserError(
            f"{len(missing)} images have no feature",
            "Run `dvc repro embed`",
            file=paths.features(dataset),
            field="image_id",
            value=missing[0],
        )
    rows = np.asarray(features.vectors[[features.row_of[image_id] for image_id in ids]], dtype=np.float32)
    return torch.nn.functional.normalize(torch.from_numpy(rows), dim=-1)  # float16 rows are a little off 1


def _answers(
    rows: list[dict], place: dict[str, int], reference_removed: bool, paths: Paths, dataset: str
) -> Answers:
    target, right, removed = [], [], []
    for row in rows:
        out = _place(row, "reference_id", place, paths, dataset) if reference_removed else NONE
        aim = _place(row, "target_id", place, paths, dataset)
        if aim == out:
            raise UserError(
                f"the target of query {row['query_id']} is its reference, which is removed from the gallery",
                "Take the query out of the source, or set method.reference to kept",
                file=paths.queries(dataset),
                field="target_id",
                value=row["target_id"],
            )
        target.append(aim)
        right.append([_place_of(row, "target_ids", one, place, paths, dataset) for one in row["target_ids"]])
        removed.append(out)
    try:
        return make_answers(target, right, removed, len(place))
    except ValueError as error:
        raise UserError(
            str(error), "Run `dvc repro corpus`; target_ids must hold target_id", file=paths.queries(dataset)
        ) from None


def _place(row: dict, field: str, place: dict[str, int], paths: Paths, dataset: str) -> int:
    return _place_of(row, field, row[field], place, paths, dataset)


def _place_of(row: dict, field: str, image_id: str, place: dict[str, int], paths: Paths, dataset: str) -> int:
    if image_id not in place:
        raise UserError(
            f"the image of query {row['query_id']} is not in its split, {row['split']}",
            "Run `dvc repro corpus`; no image may be in two splits",
            file=paths.queries(dataset),
            field=field,
            value=image_id,
        )
    return place[image_id]


def _refuse_empty(what: str, path: Any, split: str) -> None:
    raise UserError(
        f"the table has no {what} of this split",
        "Tuning and evaluation need train, val and test: give some rows of the source this split",
        file=path,
        field="split",
        value=split,
    )
