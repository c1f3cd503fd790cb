"""The image alone, and the text alone."""

from trainer.methods.recipes import FrozenFeatures
from trainer.retrieval.ranking import Scores, dot_scores


def image_only(features: FrozenFeatures, seed: int) -> Scores:
    """Cosines of the reference with the gallery."""
    return dot_scores(features.split.image, features.split.gallery)


def text_only(features: FrozenFeatures, seed: int) -> Scores:
    """Cosines of the modification with the gallery."""
    return dot_scores(features.text["text"], features.split.gallery)
