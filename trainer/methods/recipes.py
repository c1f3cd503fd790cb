"""How comparators learn, on frozen features: nothing, a share on validation, or a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from pipeline.base.params import ComparatorParams
from trainer.methods.graphs import SCENE_GRAPH, Graphs
from trainer.methods.training import Composition, Match, compose, composed_scores, train_composer
from trainer.retrieval.fusion import choose_share, fusion_scores
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.splits import Split

HYBRID_QUERY = "hybrid"  # the input of a network that starts from the query of the hybrid similarity


@dataclass(frozen=True)
class FrozenFeatures:
    """A split and the frozen encoder's features of what its queries say.

    Attributes:
        text: (Q, D) each, by input; under `HYBRID_QUERY` the query vectors of the hybrid similarity.
        graphs: of the Q references; None where no method reads them.
    """

    split: Split
    text: dict[str, Tensor]
    graphs: Graphs | None = None

    def composition(self, inputs: Sequence[str], match: Match | None) -> Composition:
        """Images and some inputs, as a composer learns from them; `match` is as for `train_composer`."""
        gallery = self.split.trained_on if match is None else self.split.gallery
        return Composition(self.inputs(inputs), gallery, self.split.answers)

    def inputs(self, names: Sequence[str]) -> tuple[Tensor | Graphs, ...]:
        """The image and some inputs, of Q queries each."""
        return (self.split.image, *map(self._input, names))

    def _input(self, name: str) -> Tensor | Graphs:
        if name != SCENE_GRAPH:
            return self.text[name]
        if self.graphs is None:
            raise ValueError("there are no scene graphs")
        return self.graphs


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
        """Learn from `inputs`, what the comparator reads beside the image."""


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
    """Trains a module that composes the image and the other inputs.

    Attributes:
        build: makes it for dimension D.
        match: as for `train_composer`.
        beside: an input that is a query by itself; validation chooses the share of what is composed beside
            it, 0 included. None: what is composed is the query.
    """

    build: Callable[[int], nn.Module]
    match: Match | None = None
    beside: str | None = None

    def fit(self, inputs: Sequence[str], data: FitData) -> Fitted:
        train, validation = (of.composition(inputs, self.match) for of in (data.train, data.validation))
        module = train_composer(self.build, train, validation, data.params, data.seed, self.match)

        def beside(features: FrozenFeatures, start: str) -> Callable[[float], Scores]:
            query, composed = features.text[start], compose(module, features.inputs(inputs))
            return lambda share: fusion_scores(query, composed, features.split.stored, share)

        if (start := self.beside) is not None:
            share = choose_share(beside(data.validation, start), data.validation.split.answers)
            return Fitted(lambda features: beside(features, start)(share), {"share": share})

        def scores(features: FrozenFeatures) -> Scores:
            queries = compose(module, features.inputs(inputs))
            if self.match is None:
                return dot_scores(queries, features.split.stored)
            return composed_scores(queries, features.split.gallery, self.match)

        return Fitted(scores, {})
