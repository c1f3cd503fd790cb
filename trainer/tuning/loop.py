"""Vision-fixed tuning: the text encoder is tuned on cached image features, the image encoder never runs.

A step encodes each distinct text of its batch once, whichever queries and similarities share it. After every
epoch the head chooses on validation (the hybrid one: weights and mixture) just as at the end, so that early
stopping sees what will be used; the untuned encoder is epoch 0 and a candidate like any other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.params import TuneParams
from pipeline.vision.texts import Texts
from trainer.retrieval.metrics import objective, score_metrics
from trainer.retrieval.ranking import dot_scores
from trainer.retrieval.splits import Split
from trainer.tuning.checkpoint import (
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
)
from trainer.tuning.determinism import seeded
from trainer.tuning.heads import Chosen, Head
from trainer.tuning.losses import (
    Temperature,
    batch_loss,
    distillation_loss,
    gallery_loss,
    hard_loss,
    hardest,
)
from trainer.tuning.parallel import Workers
from trainer.tuning.schedule import epoch_batches, learning_rate
from trainer.tuning.trainable import merge_adapters, parameter_groups, select_trainable

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class TuneResult:
    """What a run found; the model and the head hold the weights of the best epoch.

    Attributes:
        history: one row an epoch, epoch 0 (untuned) first, as the columns of the loss curve.
        best_epoch: 0 where tuning never helped on validation.
        chosen: by the head on validation, at the best epoch.
        untuned: chosen at epoch 0.
        training: what the loss used, or started from where it is learned.
        temperature: of the best epoch.
        metrics, untuned_metrics: on validation.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    chosen: Chosen
    untuned: Chosen
    training: Chosen
    temperature: float
    metrics: dict[str, float]
    untuned_metrics: dict[str, float]


@dataclass
class _Epoch:
    """The validation of one epoch."""

    number: int
    chosen: Chosen
    metrics: dict[str, float]
    temperature: float

    @property
    def objective(self) -> tuple[float, float]:
        return objective(self.metrics)


@dataclass
class _Progress:
    """Where a run stands: what a checkpoint holds beside tensors."""

    epoch: int
    untuned: _Epoch
    best: _Epoch
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Tuning:
    """A run that tunes a model's text encoder in place.

    Attributes:
        model: an open_clip model in eval mode, float32.
        train, validation: on the model's device.
        texts: that hold every text of both.
        head: makes queries of features; its parameters are trained too.
        params: of the loop.
        seed: of the order of the queries; the same seed gives the same result on one machine.
        batch: texts at a time where no gradient flows.
        checkpoints: a folder for this very run; one that a kill left behind is continued to the same result.
        workers: the processes of this run.
    """

    model: Any
    train: Split
    validation: Split
    texts: Texts
    head: Head
    params: TuneParams
    seed: int
    batch: int = 256
    checkpoints: Path | None = None
    workers: Workers = field(default_factory=Workers)

    def run(self, on_epoch: OnEpoch | None = None) -> TuneResult:
        """Tune.

        Args:
            on_epoch: is given each row of the history, after its checkpoint is on disk.
        """
        with seeded(self.seed):
            self._prepare()
            return self._run(on_epoch if self.workers.first else None)

    def _prepare(self) -> None:
        device = self.train.gallery.device
        self.head.to(device)
        self.rows = {part: self.texts.rows(self.train.texts[part]) for part in self.head.inputs}
        self.temperature = Temperature(self.params.temperature, self.params.learn_temperature).to(device)
        self.tuned: dict[str, nn.Parameter] = select_trainable(self.model, self.params.trainable)
        if isinstance(self.temperature.logarithm, nn.Parameter):
            self.tuned["temperature"] = self.temperature.logarithm
        groups = parameter_groups(self.tuned, self.params.weight_decay) + self.head.groups()
        self.tuned |= {f"head.{name}": part for name, part in self.head.named_parameters()}
        self.state: dict[str, Tensor] = {f"head.{name}": part for name, part in self.head.named_buffers()}
        self.state |= self.tuned
        self.optimizer = torch.optim.AdamW(groups, lr=self.params.learning_rate)
        self.autocast, self.scaler = _mixed_precision(device)
        self.shared = self.rows[self.head.inputs[-1]]  # queries that share a long text are batched together
        self.steps = len(epoch_batches(self.shared, self.params.batch_size, self.seed, 1))
        before = self.params.distill or self.params.hard_negatives
        self.untuned = self._encode(self.train) if before else None

    def _run(self, on_epoch: OnEpoch | None) -> TuneResult:
        progress, best = self._resume() or self._start(on_epoch)
        training = self.head.start(progress.untuned.chosen)
        self.hard = self._hardest() if self.params.hard_negatives else None
        queries = len(self.train)
        bar = tqdm(
            total=self.params.epochs * queries,
            initial=progress.epoch * queries,
            desc="tune",
            unit="query",
            disable=None if self.workers.first else True,  # None: where nobody watches
        )
        while progress.epoch < self.params.epochs and not self._exhausted(progress):
            loss = self._train_epoch(progress.epoch + 1, bar)
            reached = self._validate(progress.epoch + 1)
            progress.epoch += 1
            progress.history.append(self._history_row(reached, loss))
            if reached.objective > progress.best.objective:
                progress.best, best = reached, _copy(self.state)
            self._save(progress, best)
            if on_epoch:
                on_epoch(progress.history[-1])
        bar.close()
        with torch.no_grad():
            for name, value in self.state.items():
                value.copy_(best[name])
        merge_adapters(self.model)
        return TuneResult(
            history=progress.history,
            best_epoch=progress.best.number,
            chosen=progress.best.chosen,
            untuned=progress.untuned.chosen,
            training=training,
            temperature=progress.best.temperature,
            metrics=progress.best.metrics,
            untuned_metrics=progress.untuned.metrics,
        )

    def _start(self, on_epoch: OnEpoch | None) -> tuple[_Progress, dict[str, Tensor]]:
        untuned = self._validate(0)
        progress = _Progress(0, untuned, untuned, [self._history_row(untuned, None)])
        if on_epoch:
            on_epoch(progress.history[-1])
        return progress, _copy(self.state)

    def _exhausted(self, progress: _Progress) -> bool:
        return progress.epoch - progress.best.number >= self.params.patience

    def _train_epoch(self, epoch: int, bar: tqdm) -> float:
        """One pass over the training queries; the mean loss of a query."""
        total = 0.0
        self.head.train()
        batches = epoch_batches(self.shared, self.params.batch_size, self.seed, epoch)
        for number, rows in enumerate(batches):
            step = (epoch - 1) * self.steps + number
            rate = learning_rate(
                step, self.steps * self.params.epochs, self.params.learning_rate, self.params.warmup_share
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            loss = self._step(rows)
            total += loss * len(rows)
            bar.update(len(rows))
            bar.set_postfix_str(f"epoch {epoch}, loss {loss:.3f}")
        return total / len(self.train)

    def _step(self, rows: Tensor) -> float:
        """One step on a batch; the mean loss of its queries."""
        self.optimizer.zero_grad(set_to_none=True)
        own = self.workers.share(rows)
        total = torch.zeros((), device=self.train.gallery.device)  # loss of this process's queries
        if len(own):
            loss = self._loss(own, rows) * (len(own) / len(rows))
            self.scaler.scale(loss).backward()
            total = loss.detach()
        self.workers.sum_gradients(self.tuned.values())
        total = self.workers.sum(total)
        self._check_finite(total)
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.tuned.values(), self.params.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return total.item()

    def _loss(self, own: Tensor, batch: Tensor) -> Tensor:
        """Mean loss of the queries `own`, some or all of a batch."""
        wanted = torch.stack([self.rows[part][own] for part in self.head.inputs])  # (P, B)
        distinct, inverse = wanted.unique(return_inverse=True)  # a shared text is encoded once
        with self.autocast:
            encoded = self.texts.encode(self.model, distinct)  # (U, D)
        text = dict(zip(self.head.inputs, encoded[inverse.to(encoded.device)], strict=True))
        places = own.to(encoded.device)
        query = self.head(self.train.image[places], text)  # (B, D)
        loss = self._contrastive(query, places, batch.to(encoded.device))
        if self.params.distill and self.untuned is not None:
            before = torch.stack([self.untuned[part][places] for part in self.head.inputs])  # (P, B, D)
            loss = loss + self.params.distill * distillation_loss(torch.stack(list(text.values())), before)
        return loss

    def _contrastive(self, query: Tensor, own: Tensor, batch: Tensor) -> Tensor:
        answers, gallery = self.train.answers, self.train.gallery
        asked = answers.rows(own)
        if self.hard is not None:
            return hard_loss(query, gallery, asked.target, self.hard[own], self.temperature())
        if self.params.negatives == "gallery":
            return gallery_loss(query, gallery, asked, self.temperature())
        return batch_loss(query, gallery, asked, self.temperature(), answers.target[batch])

    @torch.no_grad()
    def _hardest(self) -> Tensor:
        """The wrong images that the untuned encoder ranks first: int64 (Q, hard_negatives)."""
        assert self.untuned is not None
        self.head.eval()
        query = self.head(self.train.image, self.untuned)
        return hardest(query, self.train.gallery, self.train.answers, self.params.hard_negatives)

    def _encode(self, split: Split) -> dict[str, Tensor]:
        with self.autocast:
            return split.encode(self.model, self.texts, self.batch, self.head.inputs)

    @torch.no_grad()
    def _validate(self, epoch: int) -> _Epoch:
        split = self.validation
        self.head.eval()
        text = self._encode(split)
        self._check_finite(text[self.head.inputs[0]])
        chosen = self.head.choose(split.image, text, split.gallery, split.answers)
        query = self.head.queries(split.image, text, chosen)
        metrics = score_metrics(dot_scores(query, split.gallery), split.answers)
        return _Epoch(epoch, chosen, metrics, self.temperature().item())

    def _check_finite(self, values: Tensor) -> None:
        if not torch.isfinite(values).all():
            raise UserError(
                "tuning diverged: the text features are no numbers any more",
                "Lower it, or lower tune.gradient_clip",
                file="params.yaml",
                field="tune.learning_rate",
                value=self.params.learning_rate,
            )

    def _history_row(self, reached: _Epoch, loss: float | None) -> dict[str, Any]:
        row: dict[str, Any] = {"epoch": reached.number, "train_loss": loss}
        row |= {f"val_{name}": value for name, value in sorted(reached.metrics.items())}
        row["temperature"] = reached.temperature
        return row | _columns(reached.chosen)

    def _save(self, progress: _Progress, best: dict[str, Tensor]) -> None:
        if self.checkpoints is None or not self.workers.first:
            return
        tensors: dict[str, Tensor] = {f"current.{name}": value for name, value in self.state.items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        record = {
            "epoch": progress.epoch,
            "untuned": vars(progress.untuned),
            "best": vars(progress.best),
            "history": progress.history,
            "scaler": self.scaler.state_dict(),
        }
        save_checkpoint(self.checkpoints, tensors | optimizer_tensors(self.optimizer), record)

    def _resume(self) -> tuple[_Progress, dict[str, Tensor]] | None:
        found = load_checkpoint(self.checkpoints) if self.checkpoints else None
        if found is None:
            return None
        tensors, record = found
        with torch.no_grad():
            for name, value in self.state.items():
                value.copy_(tensors[f"current.{name}"])
        load_optimizer_tensors(self.optimizer, tensors)
        self.scaler.load_state_dict(record["scaler"])
        best = {name: tensors[f"best.{name}"] for name in self.state}
        progress = _Progress(
            record["epoch"], _Epoch(**record["untuned"]), _Epoch(**record["best"]), record["history"]
        )
        return progress, best


def _mixed_precision(device: torch.device) -> tuple[AbstractContextManager, torch.amp.GradScaler]:
    """Autocast on CUDA (bfloat16 where it is native, else float16 with a scaler); plain float32 on a CPU."""
    if device.type != "cuda":
        return nullcontext(), torch.amp.GradScaler("cpu", enabled=False)
    bfloat16 = torch.cuda.get_device_capability(device)[0] >= 8
    autocast = torch.autocast("cuda", torch.bfloat16 if bfloat16 else torch.float16)
    return autocast, torch.amp.GradScaler("cuda", enabled=not bfloat16)


def _copy(parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}


def _columns(chosen: Chosen) -> dict[str, float]:
    """weight_triplet, ..., share_image, ... of what a head chose."""
    names = {"weights": "weight", "mixture": "share"}
    columns: dict[str, float] = {}
    for name, value in chosen.items():
        parts = value.items() if isinstance(value, dict) else [("", value)]
        columns |= {"_".join(filter(None, (names.get(name, name), part))): share for part, share in parts}
    return columns
