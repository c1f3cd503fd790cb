"""Where a tuning run is: what each epoch reached on validation, the best one, and the rows of the curve."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from trainer.retrieval.metrics import objective
from trainer.tuning.heads import Chosen


@dataclass(frozen=True)
class Validation:
    """What one epoch reaches on the validation split.

    Attributes:
        epoch: 0 is the untuned encoder.
        chosen: by the head.
        metrics: in percent.
        temperature: of the loss after this epoch.
    """

    epoch: int
    chosen: Chosen
    metrics: dict[str, float]
    temperature: float

    def row(self, train_loss: float | None) -> dict[str, Any]:
        """The epoch as a row of the curve: losses, metrics, and weight_triplet, share_image ... as chosen."""
        row: dict[str, Any] = {"epoch": self.epoch, "train_loss": train_loss}
        row |= {f"val_{name}": value for name, value in sorted(self.metrics.items())}
        row["temperature"] = self.temperature
        for name, value in self.chosen.items():
            if isinstance(value, dict):
                prefix = {"weights": "weight", "mixture": "share"}.get(name, name)
                row |= {f"{prefix}_{key}": number for key, number in value.items()}
            else:
                row[name] = value
        return row


@dataclass
class Progress:
    """A run after its latest epoch.

    Attributes:
        untuned: epoch 0.
        best: the epoch with the best mean recall; of equal ones the first.
        best_state: the tuned tensors of that epoch, by name.
        history: one row for each epoch, epoch 0 first.
    """

    untuned: Validation
    best: Validation
    best_state: dict[str, Tensor]
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def start(cls, untuned: Validation, state: dict[str, Tensor]) -> "Progress":
        """A run before its first epoch."""
        return cls(untuned, untuned, copy_state(state), [untuned.row(None)])

    @property
    def epoch(self) -> int:
        """The latest epoch."""
        return self.history[-1]["epoch"]

    def add(self, reached: Validation, train_loss: float, state: dict[str, Tensor]) -> None:
        """Take the next epoch in."""
        self.history.append(reached.row(train_loss))
        if objective(reached.metrics) > objective(self.best.metrics):
            self.best, self.best_state = reached, copy_state(state)

    def record(self) -> dict[str, Any]:
        """All but the tensors, as JSON can hold it."""
        return {"untuned": vars(self.untuned), "best": vars(self.best), "history": self.history}

    @classmethod
    def of(cls, record: dict[str, Any], best_state: dict[str, Tensor]) -> "Progress":
        """The progress that `record` wrote."""
        untuned, best = (Validation(**record[name]) for name in ("untuned", "best"))
        return cls(untuned, best, best_state, record["history"])


def copy_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies that training does not change."""
    return {name: value.detach().clone() for name, value in state.items()}
