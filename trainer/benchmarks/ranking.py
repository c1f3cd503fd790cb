"""A benchmark's queries as tensors, and what the methods that need no training make of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.benchmarks.protocols import FIRST, PROTOCOLS, Ranked, figure
from trainer.benchmarks.types import Benchmark, Part
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.answers import NONE, Answers
from trainer.retrieval.fusion import SHARES, fusion_scores
from trainer.retrieval.ranking import CHUNK_SCORES, Scores, dot_scores, rank_all

METHODS = ("image_only", "text_only", "image_plus_text", "weicom")
MIXED = ("image_plus_text", "weicom")  # methods with a share of the text


@dataclass(frozen=True)
class PartFeatures:
    """Q queries of one part and the N images they search.

    Attributes:
        gallery: float32 (N, D), L2-normalised, in the order of the part's gallery.
        reference: int64 (Q,), places in the gallery.
        text: float32 (Q, D), L2-normalised.
        answers: what is right and what is removed.
        members: int64 (Q, M), gallery places of each query's own set, padded with -1; M may be 0.
    """

    part: Part
    gallery: Tensor
    reference: Tensor
    text: Tensor
    answers: Answers
    members: Tensor

    @property
    def image(self) -> Tensor:
        """Features of the references, (Q, D)."""
        return self.gallery[self.reference]


def benchmark_features(
    benchmark: Benchmark, image_of: Mapping[Path, Tensor], text_of: Mapping[str, Tensor], device: str
) -> list[PartFeatures]:
    """Every part, on a device, from the feature (D,) of every image file and of every text."""
    galleries: dict[int, Tensor] = {}  # parts may share one
    for part in benchmark.parts:
        if id(part.gallery) not in galleries:
            vectors = torch.stack([image_of[file] for file in part.gallery.values()]).float()
            # float16 rows are a little off 1
            galleries[id(part.gallery)] = normalize(vectors, dim=-1).to(device)
    return [
        _part_features(part, galleries[id(part.gallery)], text_of, benchmark.reference_removed, device)
        for part in benchmark.parts
    ]


def _part_features(
    part: Part, gallery: Tensor, text_of: Mapping[str, Tensor], reference_removed: bool, device: str
) -> PartFeatures:
    place = {name: index for index, name in enumerate(part.gallery)}
    reference = torch.tensor([place[query.reference] for query in part.queries])
    answers = Answers(
        target=torch.tensor([NONE if q.target is None else place[q.target] for q in part.queries]),
        right=_padded([[place[name] for name in query.right] for query in part.queries], least=1),
        removed=reference if reference_removed else torch.full_like(reference, NONE),
        gallery_size=len(place),
    )
    return PartFeatures(
        part,
        gallery,
        reference.to(device),
        torch.stack([text_of[query.text] for query in part.queries]).to(device),
        answers.to(device),
        # in gallery order, so that ties fall as they do in the gallery
        _padded([sorted(place[name] for name in query.members) for query in part.queries]).to(device),
    )


def method_scores(method: str, features: PartFeatures, share: float) -> Scores:
    """Scores of one of `METHODS`; `share` is that of the text where the method mixes."""
    image, text, gallery = features.image, features.text, features.gallery
    if method == "image_only":
        return dot_scores(image, gallery)
    if method == "text_only":
        return dot_scores(text, gallery)
    mix = {"image_plus_text": fusion_scores, "weicom": weicom_scores}[method]
    return mix(image, text, gallery, share)


def rank_part(features: PartFeatures, scores: Scores) -> Ranked:
    """Rank the gallery and, where the queries have sets, the members of each query's own set."""
    chunk = max(1, CHUNK_SCORES // len(features.gallery))
    in_set = None
    if features.members.shape[1]:
        targets = (features.members == features.answers.target[:, None]) & (features.members != NONE)
        place = torch.where(targets.any(1), targets.int().argmax(1), NONE)
        answers = Answers(place, place[:, None], torch.full_like(place, NONE), features.members.shape[1])
        in_set = rank_all(_within(scores, features.members), answers, FIRST, chunk)
    return Ranked(
        features.part.name,
        features.answers,
        rank_all(scores, features.answers, FIRST, chunk),
        in_set,
        [query.aspects for query in features.part.queries],
    )


def rank_method(method: str, parts: Sequence[PartFeatures], share: float) -> list[Ranked]:
    """Every part as a method ranks it."""
    return [rank_part(features, method_scores(method, features, share)) for features in parts]


def choose_share(benchmark: Benchmark, method: str, parts: Sequence[PartFeatures]) -> float:
    """The share of `SHARES` with the best headline figure, of equal ones the smallest; one for all parts."""
    protocol = PROTOCOLS[benchmark.layout]

    def headline(share: float) -> float:
        return round(figure(protocol.figures(rank_method(method, parts, share)), protocol.headline), 9)

    return max(SHARES, key=headline)


def first_images(ranked: Ranked, part: Part) -> dict[str, list[str]]:
    """Ids of the first images of every query, best first."""
    names = list(part.gallery)
    return {
        query.query_id: [names[place] for place in places if place != NONE]
        for query, places in zip(part.queries, ranked.rankings.top.tolist(), strict=True)
    }


def first_of_set(ranked: Ranked, features: PartFeatures) -> dict[str, list[str]]:
    """Ids of the members of every query's own set, best first."""
    if ranked.set_rankings is None:
        raise ValueError("the queries have no sets")
    names = list(features.part.gallery)
    order = features.members.cpu().gather(1, ranked.set_rankings.top)
    return {
        query.query_id: [names[place] for place in places if place != NONE]
        for query, places in zip(features.part.queries, order.tolist(), strict=True)
    }


def _within(scores: Scores, members: Tensor) -> Scores:
    """The scores of each query's own members alone, (B, M); padding comes last."""

    def of_members(start: int, stop: int) -> Tensor:
        rows = members[start:stop]
        return scores(start, stop).gather(1, rows.clamp(min=0)).masked_fill(rows == NONE, -torch.inf)

    return of_members


def _padded(rows: Sequence[Sequence[int]], least: int = 0) -> Tensor:
    """int64 (Q, R), rows padded with -1; R is the length of the longest row, and at least `least`."""
    width = max(least, *map(len, rows))
    padded = [[*row, *[NONE] * (width - len(row))] for row in rows]
    return torch.tensor(padded, dtype=torch.int64).reshape(len(rows), width)
