"""Vision-fixed tuning: the text encoder is tuned on cached image features, and the image encoder never runs.

A step encodes each distinct text of its batch once, even where several queries and similarities share it.
After every epoch the head chooses on validation just as it does at the end (the hybrid head: weights and
mixture), so that early stopping judges what will be used. The untuned encoder is epoch 0 and can be the best.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.base.errors import UserError, parameter_error
from pipeline.base.params import TuneParams
from pipeline.base.progress import Progress
from pipeline.vision.texts import Texts
from trainer.retrieval.metrics import score_metrics
from trainer.retrieval.ranking import dot_scores
from trainer.retrieval.splits import Split
from trainer.tuning.checkpoint import (
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
)
from trainer.tuning.determinism import seeded
from trainer.tuning.heads import Head
from trainer.tuning.losses import Temperature
from trainer.tuning.objective import Objective
from trainer.tuning.parallel import Workers
from trainer.tuning.result import TuneResult, Validation
from trainer.tuning.schedule import epoch_batches, learning_rate
from trainer.tuning.trainable import merge_adapters, parameter_groups, select_trainable

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class Tuning:
    """A run that tunes a model's text encoder in place.

    Attributes:
        model: an open_clip model in eval mode, float32.
        train, validation: on the model's device.
        texts: every text of both, as tokens.
        head: makes query vectors of features; its parameters are trained too.
        params: of the loop.
        seed: of the order of the queries; the same seed gives the same result on one machine.
        batch: texts at a time where no gradient flows.
        checkpoints: a folder for this run alone; an interrupted run continues from it to the same result.
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
        report = on_epoch if on_epoch and self.workers.first else lambda row: None
        with seeded(self.seed):
            self._prepare()
            stored = self._resume()
            self._check_workers(stored)
            result = stored or self._start(report)
            result.training = self.head.start(result.untuned)
            self._train(result, report)
            self._restore(self.best)
            merge_adapters(self.model)
        return result

    def _prepare(self) -> None:
        device = self.train.stored.device
        self.head.to(device)
        self.temperature = Temperature(self.params.temperature, self.params.learn_temperature).to(device)
        self.tuned: dict[str, nn.Parameter] = select_trainable(self.model, self.params.trainable)
        if isinstance(self.temperature.logarithm, nn.Parameter):
            self.tuned["temperature"] = self.temperature.logarithm
        groups = parameter_groups(self.tuned, self.params.weight_decay) + self.head.groups()
        self.tuned |= {f"head.{name}": parameter for name, parameter in self.head.named_parameters()}
        self.state: dict[str, Tensor] = {f"head.{name}": buffer for name, buffer in self.head.named_buffers()}
        self.state |= self.tuned
        self.optimizer = torch.optim.AdamW(groups, lr=self.params.learning_rate)
        self.autocast, self.scaler = _mixed_precision(device, self.params.precision)
        rows = [self.texts.rows(self.train.texts[name]) for name in self.head.inputs]
        self.rows = torch.stack(rows)  # (P, Q), of the P texts of each query
        uses_untuned = self.params.distill or self.params.hard_negatives
        self.untuned = self._encode(self.train) if uses_untuned else None  # before a checkpoint is loaded

    def _start(self, report: OnEpoch) -> TuneResult:
        result = TuneResult.start(self.workers.from_first(self._validate))
        self.best = self._copied_state()
        report(result.history[-1])
        return result

    def _check_workers(self, stored: TuneResult | None) -> None:
        """Processes of machines that do not share the project's folder would not train alike."""
        name = self.checkpoints.name if self.checkpoints else ""  # a hash of all that the run depends on
        history = stored.history if stored else None
        if not self.workers.agree(f"{name} {history}"):
            reason = "the processes of this tuning have other inputs, or other checkpoints"
            raise UserError(reason, "Start all in one folder of the project, which their machines share")

    def _train(self, result: TuneResult, report: OnEpoch) -> None:
        self.objective = Objective(
            self.params, self.train, self.temperature, self.head, result.training, self.untuned
        )
        with Progress(
            total=self.params.epochs * len(self.train),
            initial=result.epoch * len(self.train),
            title="tune",
            unit="example",
        ) as bar:
            while result.epoch < min(self.params.epochs, result.best_epoch + self.params.patience):
                loss = self._train_epoch(result.epoch + 1, bar)
                if result.add(self.workers.from_first(self._validate), loss):
                    self.best = self._copied_state()
                self._save(result)
                report(result.history[-1])

    def _train_epoch(self, epoch: int, bar: Progress) -> float:
        """One pass over the training queries; the mean loss of a query."""
        self.head.train()
        labels = self.rows[-1]  # queries that share their last text, a long one, are batched together
        batches = epoch_batches(labels, self.params.batch_size, self.seed, epoch)
        total = 0.0
        for number, batch in enumerate(batches):
            rate = learning_rate(
                (epoch - 1) * len(batches) + number,
                len(batches) * self.params.epochs,
                self.params.learning_rate,
                self.params.warmup_share,
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            loss = self._step(batch)
            total += loss * len(batch)
            bar.update(len(batch))
            bar.say(f"epoch {epoch} of {self.params.epochs}, loss {loss:.3f}")
        return total / len(self.train)

    def _step(self, batch: Tensor) -> float:
        """One step on a batch of queries, each process taking its share; the mean loss of a query."""
        self.optimizer.zero_grad(set_to_none=True)
        rows = self.workers.share(batch)
        total = torch.zeros((), device=self.train.stored.device)  # loss of this process's queries
        if len(rows):
            loss = self._loss(rows, batch) * (len(rows) / len(batch))
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

    def _loss(self, rows: Tensor, batch: Tensor) -> Tensor:
        """Mean loss of the queries `rows`, some or all of a batch."""
        distinct, inverse = self.rows[:, rows].unique(return_inverse=True)  # a shared text is encoded once
        with self.autocast:
            encoded = self.texts.encode(self.model, distinct)  # (U, D)
        device = encoded.device
        texts, rows, batch = encoded[inverse.to(device)], rows.to(device), batch.to(device)  # (P, B, D)
        query = self.head(self.train.images(rows), dict(zip(self.head.inputs, texts, strict=True)))  # (B, D)
        return self.objective(query, texts, rows, batch)

    @torch.no_grad()
    def _validate(self) -> Validation:
        split = self.validation
        self.head.eval()
        text = self._encode(split)
        self._check_finite(text[self.head.inputs[0]])
        chosen = self.head.choose(split.image, text, split.gallery, split.answers)
        query = self.head.queries(split.image, text, chosen)
        metrics = score_metrics(dot_scores(query, split.gallery), split.answers)
        return Validation(chosen, metrics, self.temperature().item())

    def _encode(self, split: Split) -> dict[str, Tensor]:
        with self.autocast:
            return split.encode(self.model, self.texts, self.batch, self.head.inputs)

    def _check_finite(self, values: Tensor) -> None:
        if not torch.isfinite(values).all():
            reason = "tuning diverged: the loss or a text feature is not finite"
            remedy, rate = "Lower it, or lower tune.gradient_clip", self.params.learning_rate
            raise parameter_error(reason, remedy, "tune.learning_rate", rate)

    def _save(self, result: TuneResult) -> None:
        if self.checkpoints is None or not self.workers.first:
            return
        tensors: dict[str, Tensor] = {f"current.{name}": value for name, value in self.state.items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        record = {"result": asdict(result), "scaler": self.scaler.state_dict()}
        save_checkpoint(self.checkpoints, tensors | optimizer_tensors(self.optimizer), record)

    def _resume(self) -> TuneResult | None:
        """Continue from the checkpoint; None where there is none."""
        checkpoint = load_checkpoint(self.checkpoints) if self.checkpoints else None
        if checkpoint is None:
            return None
        tensors, record = checkpoint
        self._restore({name: tensors[f"current.{name}"] for name in self.state})
        self.best = {name: tensors[f"best.{name}"] for name in self.state}
        load_optimizer_tensors(self.optimizer, tensors)
        self.scaler.load_state_dict(record["scaler"])
        return TuneResult(**record["result"])

    def _copied_state(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state.items()}

    @torch.no_grad()
    def _restore(self, state: dict[str, Tensor]) -> None:
        for name, value in self.state.items():
            value.copy_(state[name])


def _mixed_precision(
    device: torch.device, precision: str
) -> tuple[AbstractContextManager, torch.amp.GradScaler]:
    """How products are computed; weights and their gradients are float32 in every case.

    `auto` is float32 on a CPU, and on a GPU bfloat16, or float16 with a scaler where that alone is native.
    """
    if precision == "fp32" or (precision == "auto" and device.type != "cuda"):
        return nullcontext(), torch.amp.GradScaler(device.type, enabled=False)
    float16 = precision == "auto" and torch.cuda.get_device_capability(device)[0] < 8
    autocast = torch.autocast(device.type, torch.float16 if float16 else torch.bfloat16)
    return autocast, torch.amp.GradScaler(device.type, enabled=float16)
