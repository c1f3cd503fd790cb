"""Heads: each makes one query vector from a query's features, with numbers that are learned or chosen.

The tuning loop gives a head the reference's image feature and the features of the texts that the head reads,
and scores the gallery with the query vector. So one loop tunes the hybrid similarity, its terms and the
comparators' weighted sums, with the same loss, gallery and early stopping.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.base.params import MethodParams
from trainer.retrieval.answers import Answers
from trainer.retrieval.fusion import choose_share, fused_query, fusion_scores
from trainer.retrieval.similarity import TERMS, TEXT_INPUTS, QueryFeatures, hybrid_query, term_queries
from trainer.retrieval.weights import Choice, choose, floored

TextFeatures = Mapping[str, Tensor]  # input of the query -> (B, D), L2-normalised
Chosen = dict[str, Any]  # what validation chose, as JSON can hold it

RATE_FACTOR = 30.0  # of the encoder's learning rate: these few numbers have to change much more
_LEAST = 1e-3  # a learned share of 0 could never grow
_INPUTS_OF = {"triplet": ("text", "graph"), "language": ("language",), "pseudo_caption": ("pseudo_caption",)}


class Head(nn.Module, ABC):
    """Makes query vectors; its own parameters, where it has any, are trained with the encoder.

    Attributes:
        inputs: the texts it reads, of `TEXT_INPUTS`.
    """

    inputs: tuple[str, ...]

    def groups(self) -> list[dict[str, Any]]:
        """Its parameters for the optimizer: weight decay, and a factor on the encoder's learning rate."""
        return []

    @abstractmethod
    def start(self, untuned: Chosen) -> Chosen:
        """Set what training begins with, given what was chosen for the untuned encoder, and return it."""

    @abstractmethod
    def forward(self, image: Tensor, text: TextFeatures) -> Tensor:
        """Query vectors (B, D) of a training batch; gradients flow."""

    @abstractmethod
    def choose(self, image: Tensor, text: TextFeatures, gallery: Tensor, answers: Answers) -> Chosen:
        """The best choice on these (validation) queries."""

    @abstractmethod
    def queries(self, image: Tensor, text: TextFeatures, chosen: Chosen) -> Tensor:
        """Query vectors (Q, D) with a choice."""


class HybridHead(Head):
    """The hybrid similarity, or some of its terms.

    Args:
        method: how weights and mixture are chosen.
        terms: those that take part; the others have the weight 0.
        signed: whether the graph's share of the triplet may be chosen below 0.

    Attributes:
        choice: what training uses, or starts from where weights and mixture are learned.
        free: weights and mixture where they are learned, else None.
    """

    def __init__(self, method: MethodParams, terms: Sequence[str] = TERMS, signed: bool = True) -> None:
        super().__init__()
        self.signed = signed
        self.terms = tuple(terms)
        self.inputs = tuple(name for term in self.terms for name in _INPUTS_OF[term])
        self.on_validation = method.choose == "validation"
        self.choice = Choice.of(method.model_dump())
        self.free = FreeChoice(self.choice) if method.choose == "learned" else None

    def groups(self) -> list[dict[str, Any]]:
        if self.free is None:
            return []
        return [{"params": list(self.free.parameters()), "weight_decay": 0.0, "factor": RATE_FACTOR}]

    def start(self, untuned: Chosen) -> Chosen:
        if self.on_validation:
            self.choice = floored(Choice.of(untuned), self.terms)
        return self.choice.record()

    def forward(self, image: Tensor, text: TextFeatures) -> Tensor:
        features = self._features(image, text)
        if self.free is None:
            return self.choice.queries(features)
        weights, mixture = self.free()
        return hybrid_query(term_queries(features, mixture), weights)

    def choose(self, image: Tensor, text: TextFeatures, gallery: Tensor, answers: Answers) -> Chosen:
        if self.on_validation:
            return choose(self._features(image, text), gallery, answers, self.terms, self.signed).record()
        return (self.choice if self.free is None else self.free.choice()).record()

    def queries(self, image: Tensor, text: TextFeatures, chosen: Chosen) -> Tensor:
        return Choice.of(chosen).queries(self._features(image, text))

    def _features(self, image: Tensor, text: TextFeatures) -> QueryFeatures:
        unused = torch.zeros_like(image)  # of a term whose weight is 0
        return QueryFeatures(image, *(text.get(name, unused) for name in TEXT_INPUTS))


class FusionHead(Head):
    """A weighted sum of the image and one text, its share chosen on validation.

    Args:
        text: the input that is summed with the image.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inputs = (text,)
        self.share = 0.5

    def start(self, untuned: Chosen) -> Chosen:
        self.share = min(max(untuned["share"], 0.1), 0.9)  # so that image and text both count
        return {"share": self.share}

    def forward(self, image: Tensor, text: TextFeatures) -> Tensor:
        return fused_query(image, text[self.inputs[0]], self.share)

    def choose(self, image: Tensor, text: TextFeatures, gallery: Tensor, answers: Answers) -> Chosen:
        scores = partial(fusion_scores, image, text[self.inputs[0]], gallery)
        return {"share": choose_share(scores, answers)}

    def queries(self, image: Tensor, text: TextFeatures, chosen: Chosen) -> Tensor:
        return fused_query(image, text[self.inputs[0]], chosen["share"])


class FreeChoice(nn.Module):
    """Weights and mixture as the softmax of free numbers, so that they sum to 1 and keep their signs.

    Args:
        initial: the start values, divided by the sum of their absolute values; a value of 0 starts at 0.001.
    """

    signs: Tensor

    def __init__(self, initial: Choice) -> None:
        super().__init__()
        self.weights = nn.Parameter(_logarithms(initial.weights))
        self.mixture = nn.Parameter(_logarithms([abs(share) for share in initial.mixture]))
        signs = [-1.0 if share < 0 else 1.0 for share in initial.mixture]
        self.register_buffer("signs", torch.tensor(signs), persistent=False)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Weights (3,) and mixture (3,); gradients flow."""
        return self.weights.softmax(0), self.signs * self.mixture.softmax(0)

    def choice(self) -> Choice:
        """The current weights and mixture."""
        weights, mixture = (tuple(numbers.detach().cpu().tolist()) for numbers in self())
        return Choice(weights, mixture)


def _logarithms(shares: Sequence[float]) -> Tensor:
    return torch.tensor(shares).clamp(min=_LEAST).log()
