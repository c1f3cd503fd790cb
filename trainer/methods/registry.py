"""Every method of the evaluation as scores on the test split: comparators, the terms, the hybrid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from pipeline.base.params import ComparatorParams
from trainer.methods.chance import chance_scores
from trainer.methods.combiner import Combiner
from trainer.methods.tirg import Tirg
from trainer.methods.training import Composition, compose, train_composer
from trainer.methods.weicom import weicom_scores
from trainer.retrieval.fusion import choose_share, fusion_scores
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.retrieval.similarity import TERMS, Mixture, QueryFeatures, triplet_query
from trainer.retrieval.splits import Split
from trainer.retrieval.weights import Choice, search

# name -> how image and text are mixed by a share, or the network that composes them; which text it reads
MIXED: dict[str, tuple[Callable[[Tensor, Tensor, Tensor, float], Scores], str]] = {
    "image_plus_text": (fusion_scores, "text"),
    "weicom": (weicom_scores, "text"),
    "image_plus_pseudo_caption": (fusion_scores, "pseudo_caption"),
}
NETWORKS: dict[str, tuple[type[nn.Module], str]] = {
    "tirg": (Tirg, "text"),
    "combiner": (Combiner, "text"),
    "combiner_pseudo_caption": (Combiner, "pseudo_caption"),
}
COMPARATORS = (
    "chance",
    "image_only",
    "text_only",
    "image_plus_text",
    "weicom",
    "tirg",
    "combiner",
    "image_plus_pseudo_caption",
    "combiner_pseudo_caption",
)
METHODS = (*COMPARATORS, *TERMS, "hybrid_untuned", "hybrid")
USES_CAPTIONS = (*COMPARATORS[-2:], *TERMS, "hybrid_untuned", "hybrid")
COMPARATOR_INPUTS = ("text", "pseudo_caption")  # the texts that comparators read


@dataclass(frozen=True)
class FrozenFeatures:
    """A split and the frozen encoder's features (Q, D) of its texts, by part."""

    split: Split
    text: dict[str, Tensor]

    def composition(self, part: str) -> Composition:
        """Images and the texts of one part, as a composer wants them."""
        return Composition(self.split.image, self.text[part], self.split.gallery, self.split.answers)


def comparator_scores(
    train: FrozenFeatures,
    validation: FrozenFeatures,
    test: FrozenFeatures,
    params: ComparatorParams,
    seed: int,
) -> Iterator[tuple[str, Scores]]:
    """Name and test scores of each of `COMPARATORS`; those that learn are trained here."""
    for name in COMPARATORS:
        if name in MIXED:
            share = choose_share(partial(mixed_scores, name, validation), validation.split.answers)
            yield name, mixed_scores(name, test, share)
        elif name in NETWORKS:
            module = train_network(name, train, validation, params, seed)
            yield name, network_scores(name, module, test)
        else:
            yield name, plain_scores(name, test, seed)


def plain_scores(name: str, frozen: FrozenFeatures, seed: int) -> Scores:
    """Scores of a comparator that chooses and learns nothing.

    Raises:
        ValueError: no such comparator.
    """
    split = frozen.split
    if name == "chance":
        return chance_scores(len(split), len(split.gallery), seed)
    if name == "image_only":
        return dot_scores(split.image, split.gallery)
    if name == "text_only":
        return dot_scores(frozen.text["text"], split.gallery)
    raise ValueError(f"no such comparator: {name}")


def mixed_scores(name: str, frozen: FrozenFeatures, share: float) -> Scores:
    """Scores of one of `MIXED` with this share of the text."""
    mix, part = MIXED[name]
    return mix(frozen.split.image, frozen.text[part], frozen.split.gallery, share)


def train_network(
    name: str, train: FrozenFeatures, validation: FrozenFeatures, params: ComparatorParams, seed: int
) -> nn.Module:
    """One of `NETWORKS`, trained on the frozen features."""
    build, part = NETWORKS[name]
    return train_composer(build, train.composition(part), validation.composition(part), params, seed)


def network_scores(name: str, module: nn.Module, frozen: FrozenFeatures) -> Scores:
    """Scores of a trained network of `NETWORKS`."""
    _, part = NETWORKS[name]
    return dot_scores(compose(module, frozen.split.image, frozen.text[part]), frozen.split.gallery)


def term_scores(
    features: QueryFeatures, gallery: Tensor, choice: Choice, alone: Mixture
) -> Iterator[tuple[str, Scores]]:
    """Name and scores of each similarity alone, in the order of `TERMS`, then of the hybrid one.

    Args:
        choice: of the hybrid similarity.
        alone: the mixture with which the triplet stands alone.
    """
    triplet = triplet_query(features.image, features.text, features.graph, alone)
    for name, queries in zip(TERMS, (triplet, features.language, features.pseudo_caption), strict=True):
        yield name, dot_scores(queries, gallery)
    yield "hybrid", dot_scores(choice.queries(features), gallery)


def triplet_alone(features: QueryFeatures, validation: Split, choice: Choice, how: str) -> Mixture:
    """The mixture that serves the triplet best without the other terms.

    Args:
        features: of the validation queries.
        choice: of the hybrid similarity, whose mixture it is where nothing is searched.
        how: `method.choose`.
    """
    if how != "validation":
        return choice.mixture
    return search(features, validation.gallery, validation.answers, ("triplet",)).mixture
