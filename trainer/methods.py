"""Every method of the evaluation as scores on the test split: comparators, the terms, the hybrid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from pipeline.params import ComparatorParams
from trainer.comparators.chance import chance_scores
from trainer.comparators.combiner import Combiner
from trainer.comparators.fusion import choose_share, fusion_scores
from trainer.comparators.tirg import Tirg
from trainer.comparators.training import Composition, compose, train_composer
from trainer.comparators.weicom import weicom_scores
from trainer.data import Split
from trainer.retrieval import Scores, dot_scores
from trainer.similarity import TERMS, QueryFeatures, hybrid_query, term_queries
from trainer.weights import Choice

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
COMPARATOR_PARTS = ("text", "pseudo_caption")  # the texts that comparators read


@dataclass(frozen=True)
class Frozen:
    """A split and the frozen encoder's features (Q, D) of its texts, by part."""

    split: Split
    text: dict[str, Tensor]

    def composition(self, part: str) -> Composition:
        """Images and the texts of one part, as a composer wants them."""
        return Composition(self.split.image, self.text[part], self.split.gallery, self.split.answers)


def comparator_scores(
    train: Frozen, validation: Frozen, test: Frozen, params: ComparatorParams, seed: int
) -> Iterator[tuple[str, Scores]]:
    """Name and test scores of each of `COMPARATORS`; those that learn are trained here."""
    image, gallery = test.split.image, test.split.gallery
    yield "chance", chance_scores(len(test.split), len(gallery), seed)
    yield "image_only", dot_scores(image, gallery)
    yield "text_only", dot_scores(test.text["text"], gallery)
    yield "image_plus_text", _mixed(fusion_scores, "text", validation, test)
    yield "weicom", _mixed(weicom_scores, "text", validation, test)
    for name, build, part in (("tirg", Tirg, "text"), ("combiner", Combiner, "text")):
        yield name, _composed(build, part, train, validation, test, params, seed)
    yield "image_plus_pseudo_caption", _mixed(fusion_scores, "pseudo_caption", validation, test)
    yield (
        "combiner_pseudo_caption",
        _composed(Combiner, "pseudo_caption", train, validation, test, params, seed),
    )


def term_scores(features: QueryFeatures, gallery: Tensor, choice: Choice) -> Iterator[tuple[str, Scores]]:
    """Name and scores of each similarity alone, in the order of `TERMS`, then of the hybrid one."""
    terms = term_queries(features, choice.mixture)  # (3, Q, D)
    for name, queries in zip(TERMS, terms, strict=True):
        yield name, dot_scores(queries, gallery)
    yield "hybrid", dot_scores(hybrid_query(terms, choice.weights), gallery)


def _mixed(
    mix: Callable[[Tensor, Tensor, Tensor, float], Scores], part: str, validation: Frozen, test: Frozen
) -> Scores:
    """Test scores of image and text mixed by the share that is best on validation."""

    def scores(frozen: Frozen, share: float) -> Scores:
        return mix(frozen.split.image, frozen.text[part], frozen.split.gallery, share)

    return scores(test, choose_share(partial(scores, validation), validation.split.answers))


def _composed(
    build: type[nn.Module],
    part: str,
    train: Frozen,
    validation: Frozen,
    test: Frozen,
    params: ComparatorParams,
    seed: int,
) -> Scores:
    module = train_composer(build, train.composition(part), validation.composition(part), params, seed)
    return dot_scores(compose(module, test.split.image, test.text[part]), test.split.gallery)
