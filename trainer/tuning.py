"""Vision-fixed tuning: the text encoder is tuned on cached image features, the image encoder never runs.

A step encodes each distinct text of its batch once, whichever queries and similarities share it. After every
epoch the weights and the mixture are searched on validation just as at the end, so that early stopping sees
what will be used; the untuned encoder is epoch 0 and a candidate like any other.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.params import MethodParams, TuneParams
from trainer.checkpoint import load_checkpoint, load_optimizer_tensors, optimizer_tensors, save_checkpoint
from trainer.data import Split
from trainer.determinism import seeded
from trainer.learned import RATE_FACTOR, LearnedChoice
from trainer.lora import merge_adapters
from trainer.losses import Temperature, batch_loss, gallery_loss
from trainer.parallel import Workers
from trainer.schedule import epoch_batches, learning_rate
from trainer.similarity import TEXT_PARTS, QueryFeatures, hybrid_query, term_queries
from trainer.texts import Texts
from trainer.trainable import parameter_groups, select_trainable
from trainer.weights import Choice, evaluate_choice, floored, search

OnEpoch = Callable[[dict[str, Any]], None]


@dataclass
class TuneResult:
    """What a run found; the model holds the weights of the best epoch.

    Attributes:
        history: one row an epoch, epoch 0 (untuned) first, as the columns of the loss curve.
        best_epoch: 0 where tuning never helped on validation.
        choice: weights and mixture of the best epoch.
        untuned_choice: of epoch 0.
        training_choice: what the loss used, or started from where it is learned.
        temperature: of the best epoch.
        metrics, untuned_metrics: on validation.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    choice: Choice
    untuned_choice: Choice
    training_choice: Choice
    temperature: float
    metrics: dict[str, float]
    untuned_metrics: dict[str, float]


@dataclass
class _Epoch:
    """The validation of one epoch."""

    number: int
    choice: Choice
    metrics: dict[str, float]
    temperature: float

    @property
    def objective(self) -> tuple[float, float]:
        return round(self.metrics["mean_recall"], 9), round(self.metrics["mAP"], 9)


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
        params: of the loop.
        method: how weights and mixture are chosen.
        seed: of the order of the queries; the same seed gives the same result on one machine.
        batch: texts at a time where no gradient flows.
        checkpoints: a folder for this very run; one that a kill left behind is continued to the same result.
        workers: the processes of this run.
    """

    model: Any
    train: Split
    validation: Split
    texts: Texts
    params: TuneParams
    method: MethodParams
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
        self.rows = self.train.text_rows(self.texts)
        self.temperature = Temperature(self.params.temperature, self.params.learn_temperature).to(device)
        self.tuned: dict[str, nn.Parameter] = select_trainable(self.model, self.params.trainable)
        if isinstance(self.temperature.logarithm, nn.Parameter):
            self.tuned["temperature"] = self.temperature.logarithm
        groups = parameter_groups(self.tuned, self.params.weight_decay)
        self.learned = LearnedChoice(self._fixed()).to(device) if self.method.choose == "learned" else None
        if self.learned is not None:
            self.tuned |= {f"choice.{name}": part for name, part in self.learned.named_parameters()}
            groups.append(
                {"params": list(self.learned.parameters()), "weight_decay": 0.0, "factor": RATE_FACTOR}
            )
        self.optimizer = torch.optim.AdamW(groups, lr=self.params.learning_rate)
        self.autocast, self.scaler = _mixed_precision(device)
        self.shared = self.rows["pseudo_caption"]  # queries that share a long text are batched together
        self.steps = len(epoch_batches(self.shared, self.params.batch_size, self.seed, 1))

    def _run(self, on_epoch: OnEpoch | None) -> TuneResult:
        progress, best = self._resume() or self._start(on_epoch)
        training = floored(progress.untuned.choice) if self.method.choose == "validation" else self._fixed()
        queries = len(self.train)
        bar = tqdm(
            total=self.params.epochs * queries,
            initial=progress.epoch * queries,
            desc="tune",
            unit="query",
            disable=None if self.workers.first else True,  # None: where nobody watches
        )
        while progress.epoch < self.params.epochs and not self._exhausted(progress):
            loss = self._train_epoch(progress.epoch + 1, training, bar)
            reached = self._validate(progress.epoch + 1)
            progress.epoch += 1
            progress.history.append(self._history_row(reached, loss))
            if reached.objective > progress.best.objective:
                progress.best, best = reached, _copy(self.tuned)
            self._save(progress, best)
            if on_epoch:
                on_epoch(progress.history[-1])
        bar.close()
        with torch.no_grad():
            for name, parameter in self.tuned.items():
                parameter.copy_(best[name])
        merge_adapters(self.model)
        return TuneResult(
            history=progress.history,
            best_epoch=progress.best.number,
            choice=progress.best.choice,
            untuned_choice=progress.untuned.choice,
            training_choice=training,
            temperature=progress.best.temperature,
            metrics=progress.best.metrics,
            untuned_metrics=progress.untuned.metrics,
        )

    def _start(self, on_epoch: OnEpoch | None) -> tuple[_Progress, dict[str, Tensor]]:
        untuned = self._validate(0)
        progress = _Progress(0, untuned, untuned, [self._history_row(untuned, None)])
        if on_epoch:
            on_epoch(progress.history[-1])
        return progress, _copy(self.tuned)

    def _exhausted(self, progress: _Progress) -> bool:
        return progress.epoch - progress.best.number >= self.params.patience

    def _fixed(self) -> Choice:
        weights, mixture = self.method.weights, self.method.mixture
        return Choice(
            (weights.triplet, weights.language, weights.pseudo_caption),
            (mixture.image, mixture.text, mixture.graph),
        )

    def _train_epoch(self, epoch: int, choice: Choice, bar: tqdm) -> float:
        """One pass over the training queries; the mean loss of a query."""
        total = 0.0
        batches = epoch_batches(self.shared, self.params.batch_size, self.seed, epoch)
        for number, rows in enumerate(batches):
            step = (epoch - 1) * self.steps + number
            rate = learning_rate(
                step, self.steps * self.params.epochs, self.params.learning_rate, self.params.warmup_share
            )
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            loss = self._step(rows, choice)
            total += loss * len(rows)
            bar.update(len(rows))
            bar.set_postfix_str(f"epoch {epoch}, loss {loss:.3f}")
        return total / len(self.train)

    def _step(self, rows: Tensor, choice: Choice) -> float:
        """One step on a batch; the mean loss of its queries."""
        self.optimizer.zero_grad(set_to_none=True)
        own = self.workers.share(rows)
        total = torch.zeros((), device=self.train.gallery.device)  # loss of this process's queries
        if len(own):
            loss = self._loss(own, rows, choice) * (len(own) / len(rows))
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

    def _loss(self, own: Tensor, batch: Tensor, choice: Choice) -> Tensor:
        """Mean loss of the queries `own`, some or all of a batch."""
        with self.autocast:
            features = self._batch_features(own)
        weights, mixture = (choice.weights, choice.mixture) if self.learned is None else self.learned()
        query = hybrid_query(term_queries(features, mixture), weights)  # (B, D)
        answers, gallery = self.train.answers, self.train.gallery
        asked = answers.rows(own.to(query.device))
        if self.params.negatives == "gallery":
            return gallery_loss(query, gallery, asked, self.temperature())
        targets = answers.target[batch.to(query.device)]
        return batch_loss(query, gallery, asked, self.temperature(), targets)

    def _batch_features(self, rows: Tensor) -> QueryFeatures:
        """Features of a batch of queries; a text that several of them share is encoded once."""
        wanted = torch.stack([self.rows[part][rows] for part in TEXT_PARTS])  # (4, B)
        distinct, inverse = wanted.unique(return_inverse=True)
        encoded = self.texts.encode(self.model, distinct)  # (U, D)
        reference = self.train.reference[rows.to(encoded.device)]
        return QueryFeatures(self.train.gallery[reference], *encoded[inverse.to(encoded.device)])

    def _validate(self, epoch: int) -> _Epoch:
        split = self.validation
        with self.autocast:
            features = split.features(self.model, self.texts, self.batch)
        self._check_finite(features.text)
        if self.method.choose == "validation":
            choice = search(features, split.gallery, split.answers)
        else:
            choice = self._fixed() if self.learned is None else self.learned.choice()
        metrics = evaluate_choice(features, split.gallery, split.answers, choice)
        return _Epoch(epoch, choice, metrics, self.temperature().item())

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
        row["weight_triplet"], row["weight_language"], row["weight_pseudo_caption"] = reached.choice.weights
        row["share_image"], row["share_text"], row["share_graph"] = reached.choice.mixture
        return row

    def _save(self, progress: _Progress, best: dict[str, Tensor]) -> None:
        if self.checkpoints is None or not self.workers.first:
            return
        tensors: dict[str, Tensor] = {f"current.{name}": value for name, value in self.tuned.items()}
        tensors |= {f"best.{name}": value for name, value in best.items()}
        record = {
            "epoch": progress.epoch,
            "untuned": _to_record(progress.untuned),
            "best": _to_record(progress.best),
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
            for name, parameter in self.tuned.items():
                parameter.copy_(tensors[f"current.{name}"])
        load_optimizer_tensors(self.optimizer, tensors)
        self.scaler.load_state_dict(record["scaler"])
        best = {name: tensors[f"best.{name}"] for name in self.tuned}
        progress = _Progress(
            record["epoch"], _from_record(record["untuned"]), _from_record(record["best"]), record["history"]
        )
        return progress, best


def _mixed_precision(device: torch.device) -> tuple[AbstractContextManager, torch.amp.GradScaler]:
    """Autocast on CUDA (bfloat16 where it is native, else float16 with a scaler); plain float32 on a CPU."""
    if device.type != "cuda":
        return nullcontext(), torch.amp.GradScaler("cpu", enabled=False)
    bfloat16 = torch.cuda.get_device_capability(device)[0] >= 8
    autocast = torch.autocast("cuda", torch.bfloat16 if bfloat16 else torch.float16)
    return autocast, torch.amp.GradScaler("cuda", enabled=not bfloat16)


def _copy(parameters: dict[str, Any]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in parameters.items()}


def _to_record(epoch: _Epoch) -> dict[str, Any]:
    return {**vars(epoch), "choice": [list(epoch.choice.weights), list(epoch.choice.mixture)]}


def _from_record(record: dict[str, Any]) -> _Epoch:
    weights, mixture = record["choice"]
    return _Epoch(
        record["number"], Choice(tuple(weights), tuple(mixture)), record["metrics"], record["temperature"]
    )
