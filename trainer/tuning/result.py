"""What a tuning run has reached: its best epoch on validation, and the rows of its curve."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline.base.described import column, described
from trainer.retrieval.metrics import objective
from trainer.retrieval.similarity import SHARES, TERMS
from trainer.tuning.heads import Chosen

_VALIDATION = {
    "R@1": 84.722222,
    "R@10": 99.166667,
    "R@5": 98.055556,
    "R@50": 100.0,
    "mAP": 91.04332,
    "mean_recall": 93.981481,
}
_WEIGHTS, _MIXTURE = (0.45, 0.023125, 0.526875), (0.30775, 0.01025, -0.682)
CURVE = described(  # of the hybrid head; as a row of `TuneResult.history`
    "tuning_curve",
    "tune",
    "epoch",
    "How tuning went on. Epoch 0 is the untuned encoder.",
    column("epoch", pa.int64(), "the epoch after which this was measured", 7),
    column("train_loss", pa.float64(), "mean loss of a training query", 0.210323, null="epoch 0"),
    *(
        column(f"val_{name}", pa.float64(), f"`{name}` on the validation split", example, unit="percent")
        for name, example in _VALIDATION.items()
    ),
    column("temperature", pa.float64(), "temperature of the loss", 0.005),
    *(
        column(
            f"weight_{name}",
            pa.float64(),
            f"weight of the {name.replace('_', ' ')} similarity",
            example,
            unit="0 to 1",
        )
        for name, example in zip(TERMS, _WEIGHTS, strict=True)
    ),
    *(
        column(
            f"share_{name}",
            pa.float64(),
            f"share of the {name} in the triplet query",
            example,
            unit="-1 to 1" if name == "graph" else "0 to 1",
        )
        for name, example in zip(SHARES, _MIXTURE, strict=True)
    ),
)


@dataclass(frozen=True)
class Validation:
    """The encoder on validation: the head's choice, metrics in percent, and the loss's temperature."""

    chosen: Chosen
    metrics: dict[str, float]
    temperature: float


@dataclass
class TuneResult:
    """A run after its latest epoch. At its end the model and the head hold the weights of the best epoch.

    Attributes:
        chosen, metrics, temperature: on validation, of the best epoch.
        untuned, untuned_metrics: chosen and metrics of epoch 0, the untuned encoder.
        best_epoch: 0 where tuning never helped on validation; of equal epochs the first.
        training: the choice that the loss used, or started from where it is learned.
        history: one row for each epoch, epoch 0 first, as the columns of the loss curve.
    """

    chosen: Chosen
    metrics: dict[str, float]
    temperature: float
    untuned: Chosen
    untuned_metrics: dict[str, float]
    best_epoch: int = 0
    training: Chosen = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, reached: Validation) -> "TuneResult":
        """A run before its first epoch."""
        result = cls(**vars(reached), untuned=reached.chosen, untuned_metrics=reached.metrics)
        result.add(reached, None)
        return result

    @property
    def epoch(self) -> int:
        """The latest epoch."""
        return len(self.history) - 1

    def add(self, reached: Validation, train_loss: float | None) -> bool:
        """Add an epoch; whether it is better than every epoch before."""
        self.history.append(
            {
                "epoch": len(self.history),
                "train_loss": train_loss,
                **{f"val_{name}": value for name, value in sorted(reached.metrics.items())},
                "temperature": reached.temperature,
                **_columns(reached.chosen),
            }
        )
        better = objective(reached.metrics) > objective(self.metrics)
        if better:
            self.best_epoch = self.epoch
            self.chosen, self.metrics, self.temperature = reached.chosen, reached.metrics, reached.temperature
        return better


def _columns(chosen: Chosen) -> dict[str, float]:
    """weight_triplet, ..., share_image, ... of what a head chose."""
    columns: dict[str, float] = {}
    for name, value in chosen.items():
        if isinstance(value, dict):
            prefix = {"weights": "weight", "mixture": "share"}.get(name, name)
            columns |= {f"{prefix}_{key}": number for key, number in value.items()}
        else:
            columns[name] = value
    return columns
