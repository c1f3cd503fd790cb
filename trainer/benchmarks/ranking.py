"""A split of a benchmark as tensors, and how the methods that need no training rank it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from trainer.benchmarks.types import BenchmarkSplit, Category, CategoryFeatures, Ranked
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.answers import NONE, Answers, pad_rows
from trainer.retrieval.fusion import fusion_scores
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import MEMORY_MIB, Scores, dot_scores, queries_at_once, rank_all

MIXES = {"image_plus_text": fusion_scores, "weicom": weicom_scores}  # each takes a share of the text
METHODS = ("image_only", "text_only", *MIXES)
FIRST = 50  # images a query, enough for every protocol and every server


def split_features(
    split: BenchmarkSplit, image_of: Mapping[Path, Tensor], text_of: Mapping[str, Tensor], device: str
) -> list[CategoryFeatures]:
    """Every category on a device, from the feature (D,) of every image file and of every text."""
    distinct = {id(category.gallery): category.gallery for category in split.categories}  # some share one
    galleries = {}
    for key, gallery in distinct.items():
        vectors = torch.stack([image_of[file] for file in gallery.values()])
        galleries[key] = Gallery.of(vectors.to(device))
    return [
        _category_features(category, split.reference_removed, galleries[id(category.gallery)], text_of)
        for category in split.categories
    ]


def _category_features(
    category: Category, reference_removed: bool, gallery: Gallery, text_of: Mapping[str, Tensor]
) -> CategoryFeatures:
    queries, device = category.queries, gallery.device
    index_of = {name: index for index, name in enumerate(category.gallery)}
    reference = torch.tensor([index_of[query.reference] for query in queries])
    answers = Answers(
        target=torch.tensor([NONE if query.target is None else index_of[query.target] for query in queries]),
        right=pad_rows([[index_of[name] for name in query.right] for query in queries], least=1),
        removed=reference if reference_removed else torch.full_like(reference, NONE),
        gallery_size=len(index_of),
    )
    # in the gallery's order, so that ties are decided as in the gallery
    members = pad_rows([sorted(index_of[name] for name in query.members) for query in queries])
    text = torch.stack([text_of[query.text] for query in queries])
    tensors = (reference.to(device), text.to(device), answers.to(device), members.to(device))
    return CategoryFeatures(category, gallery, *tensors)


def method_scores(method: str, features: CategoryFeatures, share: float) -> Scores:
    """Scores of one of `METHODS`; `share` is that of the text, for the methods of `MIXES`."""
    image, text, gallery = features.image, features.text, features.gallery
    if method in MIXES:
        return MIXES[method](image, text, gallery, share)
    return dot_scores({"image_only": image, "text_only": text}[method], gallery)


def rank_method(
    method: str, categories: Sequence[CategoryFeatures], share: float, memory_mib: int = MEMORY_MIB
) -> list[Ranked]:
    """Every category as a method ranks it; `memory_mib` as for `queries_at_once`."""
    return [_rank(features, method_scores(method, features, share), memory_mib) for features in categories]


def _rank(features: CategoryFeatures, scores: Scores, memory_mib: int) -> Ranked:
    """Rank the gallery and, where the queries have sets, the members of each query's own set."""
    chunk = queries_at_once(len(features.gallery), memory_mib)
    in_set = None
    if features.members.shape[1]:
        targets = (features.members == features.answers.target[:, None]) & (features.members != NONE)
        target = torch.where(targets.any(1), targets.int().argmax(1), NONE)  # index among the members
        answers = Answers(target, target[:, None], torch.full_like(target, NONE), features.members.shape[1])
        in_set = rank_all(_within(scores, features.members), answers, FIRST, chunk)
    return Ranked(
        features.category.name,
        features.answers,
        rank_all(scores, features.answers, FIRST, chunk),
        in_set,
        [query.aspects for query in features.category.queries],
    )


def _within(scores: Scores, members: Tensor) -> Scores:
    """The scores of each query's own members alone, (B, M); padding comes last."""

    def of_members(start: int, stop: int) -> Tensor:
        rows = members[start:stop]
        return scores(start, stop).gather(1, rows.clamp(min=0)).masked_fill(rows == NONE, -torch.inf)

    return of_members


def first_images(ranked: Ranked, category: Category) -> dict[str, list[str]]:
    """Ids of the first images of every query, best first."""
    return _names(ranked.rankings.top, category)


def first_of_set(ranked: Ranked, features: CategoryFeatures) -> dict[str, list[str]]:
    """Ids of the members of every query's own set, best first."""
    if ranked.set_rankings is None:
        raise ValueError("the queries have no sets")
    return _names(features.members.cpu().gather(1, ranked.set_rankings.top), features.category)


def _names(top: Tensor, category: Category) -> dict[str, list[str]]:
    """Ids of images by query, from gallery indices (Q, K), -1 where there are fewer."""
    names = list(category.gallery)
    return {
        query.query_id: [names[index] for index in row if index != NONE]
        for query, row in zip(category.queries, top.tolist(), strict=True)
    }
