"""The weights of the three similarities and the triplet's mixture, searched on validation.

`search` finds the best ones. The objective is the mean recall; ties go to the mean average precision, then to
the candidate that comes first in the grid. First every mixture is tried with a few weights. Then weights and
mixture are searched in turn, each with the other held fixed, until neither improves. That is about a thousand
candidates, where the product of both grids has 28,000. `choose` then takes the mean of what wins near them on
resamples of the queries: the best ones themselves are partly luck.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign
from typing import Any

import torch
from torch import Tensor

from trainer.retrieval.answers import NONE, Answers
from trainer.retrieval.metrics import mean_recall, score_metrics
from trainer.retrieval.ranking import average_precision, dot_scores
from trainer.retrieval.resampling import mean_winner
from trainer.retrieval.similarity import (
    QUERY_INPUTS,
    SHARES,
    TERMS,
    Mixture,
    QueryFeatures,
    Weights,
    hybrid_query,
    input_shares,
    similarity,
    term_queries,
)

WEIGHT_STEPS = 20  # a grid of 0.05 on the simplex, 231 points
MIXTURE_STEPS = 10  # a grid of 0.1, 121 points, 66 of them with no share below 0
ROUNDS = 3
_CHUNK_SCORES = 2**22  # scores held at once, over candidates and queries
_STARTS: tuple[Weights, ...] = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.0), (0.5, 0.0, 0.5))
_EVEN: Mixture = (1 / 3, 1 / 3, 1 / 3)


@dataclass(frozen=True)
class Choice:
    """Weights of the terms and mixture of the triplet query."""

    weights: Weights
    mixture: Mixture

    def queries(self, features: QueryFeatures) -> Tensor:
        """Query vectors (B, D) of the hybrid similarity; see `hybrid_query`."""
        return hybrid_query(term_queries(features, self.mixture), self.weights)

    def record(self) -> dict[str, dict[str, float]]:
        """{"weights": {...}, "mixture": {...}} under the names that `params.yaml` gives them."""
        return {
            "weights": dict(zip(TERMS, self.weights, strict=True)),
            "mixture": dict(zip(SHARES, self.mixture, strict=True)),
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Choice":
        """The choice that `record` wrote."""
        weights = (record["weights"][term] for term in TERMS)
        mixture = (record["mixture"][share] for share in SHARES)
        return cls(tuple(weights), tuple(mixture))  # type: ignore[arg-type]


def simplex_grid(steps: int) -> list[tuple[float, float, float]]:
    """Every (x, y, z) >= 0 with sum 1 and multiples of 1/steps, in lexicographic order."""
    return [
        (i / steps, j / steps, (steps - i - j) / steps)
        for i in range(steps + 1)
        for j in range(steps + 1 - i)
    ]


def mixture_grid(steps: int) -> list[Mixture]:
    """Every (a, b, d) with a, b >= 0, |a| + |b| + |d| = 1 and multiples of 1/steps."""
    points = simplex_grid(steps)
    return list(dict.fromkeys((a, b, sign * d) for sign in (1, -1) for a, b, d in points))


def search(
    features: QueryFeatures,
    gallery: Tensor,
    answers: Answers,
    terms: Sequence[str] = TERMS,
    signed: bool = True,
) -> Choice:
    """The choice with the best mean recall on these queries.

    Args:
        features: of Q queries, (Q, D) each.
        gallery: (N, D).
        answers: of the Q queries.
        terms: those that may have a weight above 0.
        signed: whether the graph's share of the triplet may be below 0.
    """
    weightings = _only(terms, simplex_grid(WEIGHT_STEPS))
    if "triplet" not in terms:
        return _best(features, gallery, answers, [Choice(w, _EVEN) for w in weightings])[0]
    mixtures = _mixtures(signed)
    starts = [Choice(w, m) for w in _only(terms, _STARTS) for m in mixtures]
    best, best_value = _best(features, gallery, answers, starts)
    for turn in range(2 * ROUNDS):
        if turn % 2 == 0:
            candidates = [Choice(w, best.mixture) for w in weightings]
        else:
            candidates = [Choice(best.weights, m) for m in mixtures]
        candidate, value = _best(features, gallery, answers, candidates)
        if value > best_value:
            best, best_value = candidate, value
        elif turn:
            break
    return best


def choose(
    features: QueryFeatures,
    gallery: Tensor,
    answers: Answers,
    terms: Sequence[str] = TERMS,
    signed: bool = True,
) -> Choice:
    """The choice that serves such queries, as far as these tell: arguments as of `search`.

    Around the best choice, the weights are the mean of those that win on resamples with its mixture, and the
    mixture is the mean of those that win with its weights. The graph's share keeps its sign: the mean of a
    share that wins and of its opposite need not be good. Where the triplet has no weight, all mixtures are
    alike, and the best choice's stays.
    """
    best = search(features, gallery, answers, terms, signed)
    weightings = _only(terms, simplex_grid(WEIGHT_STEPS))
    candidates = [Choice(w, best.mixture) for w in weightings]
    weights = mean_winner(candidate_ranks(features, gallery, answers, candidates), weightings)
    mixture: tuple[float, ...] = best.mixture
    if best.weights[0] > 0:
        mixtures = [m for m in _mixtures(signed) if m[2] * best.mixture[2] >= 0]
        candidates = [Choice(best.weights, m) for m in mixtures]
        mixture = mean_winner(candidate_ranks(features, gallery, answers, candidates), mixtures)
    return Choice(weights, mixture)  # type: ignore[arg-type]


def _only(terms: Sequence[str], weightings: Sequence[Weights]) -> list[Weights]:
    """Those of the weightings that give nothing to other terms."""
    used = [term in terms for term in TERMS]
    return [w for w in weightings if all(u or not x for u, x in zip(used, w, strict=True))]


def _mixtures(signed: bool) -> list[Mixture]:
    return mixture_grid(MIXTURE_STEPS) if signed else simplex_grid(MIXTURE_STEPS)


def floored(choice: Choice, terms: Sequence[str] = TERMS, floor: float = 0.1) -> Choice:
    """The choice with the weight of each of `terms` and the size of every share raised to at least `floor`.

    With a weight of 0 a term would learn nothing.
    """

    def raised(shares: Sequence[float], allowed: Sequence[bool]) -> tuple[float, ...]:
        total, rest = sum(map(abs, shares)), 1 - floor * sum(allowed)
        return tuple(
            copysign(floor + rest * abs(share) / total, share) if may else 0.0
            for share, may in zip(shares, allowed, strict=True)
        )

    weights = raised(choice.weights, [term in terms for term in TERMS])
    return Choice(weights, raised(choice.mixture, [True] * len(SHARES)))  # type: ignore[arg-type]


def evaluate_choice(
    features: QueryFeatures, gallery: Tensor, answers: Answers, choice: Choice
) -> dict[str, float]:
    """Retrieval metrics of the hybrid similarity."""
    return score_metrics(dot_scores(choice.queries(features), gallery), answers)


def candidate_ranks(
    features: QueryFeatures, gallery: Tensor, answers: Answers, candidates: Sequence[Choice]
) -> Tensor:
    """Rank of the best right answer for every candidate: int64 (C, Q)."""
    return right_ranks(features, gallery, answers, candidates, 1)[..., 0]


def right_ranks(
    features: QueryFeatures, gallery: Tensor, answers: Answers, candidates: Sequence[Choice], first: int
) -> Tensor:
    """Ranks of the `first` best right answers for every candidate, best first: int64 (C, Q, first).

    The similarities of the inputs are computed once. Memory is bounded, whatever Q and N are. A query with
    fewer right answers has any numbers behind theirs.
    """
    size = max(1, _CHUNK_SCORES // (8 * max(1, answers.gallery_size)))
    chunks = []
    for start in range(0, len(features), size):
        rows = slice(start, start + size)
        chunks.append(_chunk_ranks(features.rows(rows), gallery, answers.rows(rows), candidates, first))
    return torch.cat(chunks, 1)


def mean_average_precision(ranks: Tensor, answers: Answers) -> Tensor:
    """mAP in percent of every candidate: float64 (C,).

    Args:
        ranks: of all right answers, (C, Q, R), as `right_ranks` gives them.
    """
    count = (answers.right != NONE).sum(1).cpu()  # (Q,)
    # a mean of each, so that its queries are summed in the order of `score_metrics`
    return 100 * torch.stack([queries.mean() for queries in average_precision(ranks, count)])


def _chunk_ranks(
    features: QueryFeatures, gallery: Tensor, answers: Answers, candidates: Sequence[Choice], first: int
) -> Tensor:
    not_wrong = answers.right_mask() | answers.removed_mask()  # (B, N)
    inputs = torch.stack([getattr(features, name) for name in QUERY_INPUTS])  # (5, B, D)
    similarities = similarity(inputs, gallery).transpose(0, 1).contiguous()  # (B, 5, N)
    weights, mixtures = zip(*((one.weights, one.mixture) for one in candidates), strict=True)
    ranks = []
    for some in input_shares(features, weights, mixtures).split(max(1, _CHUNK_SCORES // not_wrong.numel())):
        scores = torch.bmm(some.transpose(0, 1), similarities)  # (B, C, N)
        right = scores.gather(2, answers.right.clamp(min=0)[:, None].expand(-1, len(some), -1))  # (B, C, R)
        best = right.masked_fill(answers.right[:, None] == NONE, -torch.inf).topk(first, dim=2).values
        # a wrong answer with the same score comes first
        ahead = ((scores >= one[..., None]) & ~not_wrong[:, None] for one in best.unbind(2))
        places = [place + wrong.sum(2, dtype=torch.int32) for place, wrong in enumerate(ahead, 1)]
        ranks.append(torch.stack(places, 2).transpose(0, 1).cpu())
    return torch.cat(ranks).long()


def _best(
    features: QueryFeatures, gallery: Tensor, answers: Answers, candidates: Sequence[Choice]
) -> tuple[Choice, tuple[float, float]]:
    """The best candidate, and its mean recall and mAP, rounded as in `objective`."""
    ranks, every = right_ranks(features, gallery, answers, candidates, 1), answers.right.shape[1]
    recalls = mean_recall(ranks[..., 0])  # (C,)
    places = (recalls >= recalls.max() - 1e-9).nonzero()[:, 0]
    tied = [candidates[place] for place in places.tolist()]
    ranks = ranks[places] if every == 1 else right_ranks(features, gallery, answers, tied, every)
    precision = mean_average_precision(ranks, answers).tolist()
    highest = max(precision)
    return tied[precision.index(highest)], (round(recalls.max().item(), 9), round(highest, 9))
