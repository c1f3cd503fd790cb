"""The loss of one run, as the section `tune` of params.yaml sets it."""

import torch
from torch import Tensor

from pipeline.base.params import TuneParams
from trainer.retrieval.splits import Split
from trainer.tuning.heads import Chosen, Head, TextFeatures
from trainer.tuning.losses import Temperature, batch_loss, distillation_loss, gallery_loss, hard_loss, hardest


class Objective:
    """The loss of a batch of training queries: contrastive, plus distillation where the parameters set it.

    Args:
        params: say which images are negatives and how much distillation counts.
        split: Q training queries.
        temperature: of the contrastive loss.
        head: makes the query vectors, to find the hardest negatives of the untuned encoder.
        training: what training began with, so that a run that is continued finds the same negatives.
        untuned: the untuned encoder's features of the head's texts, (Q, D) each; None where neither hard
            negatives nor distillation need them.
    """

    def __init__(
        self,
        params: TuneParams,
        split: Split,
        temperature: Temperature,
        head: Head,
        training: Chosen,
        untuned: TextFeatures | None,
    ) -> None:
        self.split = split
        self.temperature = temperature
        self.distill = params.distill
        self.negatives = params.negatives
        self.untuned = None if untuned is None else torch.stack([untuned[name] for name in head.inputs])
        self.hard: Tensor | None = None
        if untuned is not None and params.hard_negatives:
            with torch.no_grad():
                query = head.eval().queries(split.image, untuned, training)
            self.hard = hardest(query, split.trained_on, split.answers, params.hard_negatives)

    def __call__(self, query: Tensor, texts: Tensor, rows: Tensor, batch: Tensor) -> Tensor:
        """Mean loss of some or all queries of a batch.

        Args:
            query: (B, D), the query vectors.
            texts: (P, B, D), features of the texts that made them, in the order of the head's inputs.
            rows: int64 (B,), which queries of the split they are.
            batch: int64, the rows of the whole batch.
        """
        gallery, answers = self.split.trained_on, self.split.answers.rows(rows)
        temperature = self.temperature()
        if self.hard is not None:
            loss = hard_loss(query, gallery, answers.target, self.hard[rows], temperature)
        elif self.negatives == "batch":
            loss = batch_loss(query, gallery, answers, temperature, self.split.answers.target[batch])
        else:
            loss = gallery_loss(query, gallery, answers, temperature)
        if self.distill and self.untuned is not None:
            loss = loss + self.distill * distillation_loss(texts, self.untuned[:, rows])
        return loss
