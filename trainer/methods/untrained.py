"""Comparators that learn nothing: a random order, the image, the text or the pseudo caption alone."""

import torch
from torch import Tensor

from trainer.methods.recipes import FrozenFeatures
from trainer.retrieval.ranking import Scores, dot_scores


def chance(features: FrozenFeatures, seed: int) -> Scores:
    """Random scores of a split's queries."""
    return chance_scores(len(features.split), len(features.split.stored), seed)


def chance_scores(queries: int, gallery_size: int, seed: int) -> Scores:
    """Uniform random scores; those of a query do not depend on the other queries.

    Random rather than expected ranks, so that the rankings of this method are rankings like any other.
    """
    seeds = torch.randint(2**62, (queries,), generator=torch.Generator().manual_seed(seed))

    def scores(start: int, stop: int) -> Tensor:
        rows = [
            torch.rand(gallery_size, generator=torch.Generator().manual_seed(int(own)))
            for own in seeds[start:stop]
        ]
        return torch.stack(rows)

    return scores


def image_only(features: FrozenFeatures, seed: int) -> Scores:
    """Cosines of the reference with the gallery."""
    return dot_scores(features.split.image, features.split.stored)


def text_only(features: FrozenFeatures, seed: int) -> Scores:
    """Cosines of the modification with the gallery."""
    return dot_scores(features.text["text"], features.split.stored)


def cirevl(features: FrozenFeatures, seed: int) -> Scores:
    """Cosines of the pseudo caption with the gallery: CIReVL (Karthik et al., ICLR 2024), training-free.

    There a captioner describes the reference, a language model changes the description as asked for, and the
    text tower finds it. Here the description is the reference's scene graph.
    """
    return dot_scores(features.text["pseudo_caption"], features.split.stored)
