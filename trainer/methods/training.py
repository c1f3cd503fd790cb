"""Trains a composer of frozen features: the same loss and gallery as the method's tuning."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.base.params import ComparatorParams
from pipeline.base.progress import Progress
from trainer.methods.graphs import Graphs
from trainer.retrieval.answers import Answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.metrics import objective, score_metrics
from trainer.retrieval.ranking import Scores, dot_scores
from trainer.tuning.determinism import seeded
from trainer.tuning.losses import Temperature, contrastive_loss, gallery_loss
from trainer.tuning.schedule import epoch_batches

Match = Callable[[Tensor, Tensor], Tensor]  # queries (B, X), gallery (N, D) -> scores (B, N)


@dataclass(frozen=True)
class Composition:
    """What a composer is trained or validated on.

    Attributes:
        inputs: of the Q queries: the image, then what else the composer reads, as L2-normalised frozen
            features (Q, D) each, or as graphs.
        gallery: (N, D); in memory where a composer scores images by itself.
        answers: of the Q queries.
    """

    inputs: tuple[Tensor | Graphs, ...]
    gallery: Tensor | Gallery
    answers: Answers


def train_composer(
    build: Callable[[int], nn.Module],
    train: Composition,
    validation: Composition,
    params: ComparatorParams,
    seed: int,
    match: Match | None = None,
) -> nn.Module:
    """The composer of the best epoch by validation mean recall, then mAP; in eval mode.

    Args:
        build: gives a fresh module for dimension D, whose forward takes the inputs of B queries.
        train: with the whole gallery of its split as negatives.
        validation: for early stopping; the untrained module is a candidate.
        params: of the loop.
        seed: the same seed gives the same module on one machine, with any number of threads.
        match: scores images by what the module makes of a query; by default it is a vector (B, D), and the
            score a dot product.
    """
    with seeded(seed):
        device = train.gallery.device
        module = build(train.gallery[:1].shape[1]).to(device)
        temperature = Temperature(params.temperature, learned=True).to(device)
        optimizer = torch.optim.AdamW(
            [
                {"params": list(module.parameters()), "weight_decay": params.weight_decay},
                {"params": list(temperature.parameters()), "weight_decay": 0.0},
            ],
            lr=params.learning_rate,
        )
        with _batch_norm_on_one_thread(module):
            best, best_epoch = copy.deepcopy(module.state_dict()), 0
            reached = _reached(module, validation, match)
            total, title = params.epochs * len(train.answers), f"train {type(module).__name__}"
            bar = Progress(total=total, title=title, unit="example", leave=False)
            for epoch in range(1, params.epochs + 1):
                module.train()
                for rows in epoch_batches(torch.arange(len(train.answers)), params.batch_size, seed, epoch):
                    chosen = rows.to(device)
                    query = module(*(features[chosen] for features in train.inputs))
                    loss = _loss(query, train.gallery, train.answers.rows(chosen), temperature(), match)
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    optimizer.step()
                    bar.update(len(rows))
                now = _reached(module, validation, match)
                if now > reached:
                    best, reached, best_epoch = copy.deepcopy(module.state_dict()), now, epoch
                elif epoch - best_epoch >= params.patience:
                    break
            bar.close()
        module.load_state_dict(best)
        return module.eval()


@torch.no_grad()
def compose(module: nn.Module, inputs: Sequence[Tensor | Graphs], batch: int = 4096) -> Tensor:
    """Queries (Q, X) of a composer in eval mode, given its inputs of Q queries."""
    module.eval()
    starts = range(0, len(inputs[0]), batch)
    return torch.cat([module(*(features[start : start + batch] for features in inputs)) for start in starts])


def composed_scores(queries: Tensor, gallery: Tensor | Gallery, match: Match | None) -> Scores:
    """Scores of what a composer made of Q queries on a gallery (N, D)."""
    if match is None:
        return dot_scores(queries, gallery)
    assert isinstance(gallery, Tensor)
    return lambda start, stop: match(queries[start:stop], gallery)


def _loss(
    queries: Tensor, gallery: Tensor | Gallery, answers: Answers, temperature: Tensor, match: Match | None
) -> Tensor:
    if match is None:
        return gallery_loss(queries, gallery, answers, temperature)
    assert isinstance(gallery, Tensor)
    return contrastive_loss(match(queries, gallery), answers.target, answers.ignored_mask(), temperature)


def _reached(module: nn.Module, data: Composition, match: Match | None) -> tuple[float, float]:
    queries = compose(module, data.inputs)
    return objective(score_metrics(composed_scores(queries, data.gallery, match), data.answers))


@contextmanager
def _batch_norm_on_one_thread(module: nn.Module) -> Iterator[None]:
    """Batch norm alone sums in an order that depends on the number of threads."""
    before = torch.get_num_threads()
    if any(isinstance(part, nn.BatchNorm1d) for part in module.modules()):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
