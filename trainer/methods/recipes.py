"""How comparators learn, on frozen features: nothing, a share on validation, or a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pipeline.base.params import ComparatorParams
from trainer.methods.training import Composition, compose, train_composer
from trainer.retrieval.fusion import choose_share
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.splits import Split


@dataclass(frozen=True)
class FrozenFeatures:
    """A split and the frozen encoder's features (Q, D) of its texts, by input."""

    split: Split
    text: dict[str, Tensor]

    def composition(self, inputs: Sequence[str]) -> Composition:
        """Images and some texts, as a composer learns from them."""
        return Composition(self.inputs(inputs), self.split.gallery, self.split.answers)

    def inputs(self, names: Sequence[str]) -> tuple[Tensor, ...]:
        """(Q, D) each: the image and some texts."""
        return (self.split.image, *(self.text[name] for name in names))


@dataclass(frozen=True)
class FitData:
    """What comparators learn from; `seed` is of all random draws, `params` of the training of networks."""

    train: FrozenFeatures
    validation: FrozenFeatures
    params: ComparatorParams
    seed: int


@dataclass(frozen=True)
class Fitted:
    """A comparator that has learned: its scores on any split, and what it chose on validation."""

    scores: Callable[[FrozenFeatures], Scores]
    chosen: dict[str, float]


class Recipe(Protocol):
    """How a comparator learns."""

    def fit(self, inputs: Sequence[str], data: FitData) -> Fitted:
        """Learn from `inputs`, the texts that the comparator reads."""


@dataclass(frozen=True)
class Untrained:
    """Learns nothing; `score` gets the features and the seed."""

    score: Callable[[FrozenFeatures, int], Scores]

    def fit(self, inputs: Sequence[str], data: FitData) -> Fitted:
        return Fitted(lambda features: self.score(features, data.seed), {})


@dataclass(frozen=True)
class Mixed:
    """Chooses the share of its one text on validation; `mix` gets image, text, gallery and share."""

    mix: Callable[[Tensor, Tensor, Gallery, float], Scores]

    def fit(self, inputs: Sequence[str], data: FitData) -> Fitted:
        (text,) = inputs

        def scores(features: FrozenFeatures, share: float) -> Scores:
            return self.mix(features.split.image, features.text[text], features.split.stored, share)

        share = choose_share(lambda share: scores(data.validation, share), data.validation.split.answers)
        return Fitted(lambda features: scores(features, share), {"share": share})


@dataclass(frozen=True)
class Network:
    """Trains a module that composes the image and the texts; `build` makes it for dimension D."""

    build: Callable[[int], nn.Module]

    def fit(self, inputs: Sequence[str], data: FitData) -> Fitted:
        train, validation = data.train.composition(inputs), data.validation.composition(inputs)
        module = train_composer(self.build, train, validation, data.params, data.seed)

        def scores(features: FrozenFeatures) -> Scores:
            return dot_scores(compose(module, features.inputs(inputs)), features.split.stored)

        return Fitted(scores, {})
