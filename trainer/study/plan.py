"""What a study runs: every training and every measurement as one job, named by all that it depends on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.params import LEARNED_TEMPERATURE, Params
from trainer.methods.registry import COMPARATORS
from trainer.retrieval.similarity import TERMS

UNTRAINED = (
    "chance",
    "image_only",
    "text_only",
    "image_plus_text",
    "weicom",
    "image_plus_pseudo_caption",
    "hybrid_untuned",
)
COMPOSERS = ("tirg", "combiner", "combiner_pseudo_caption")
FUSIONS = ("image_plus_text", "image_plus_pseudo_caption")
WITHOUT_LANGUAGE_MODEL, WITH_PSEUDO_CAPTION = COMPARATORS[:-2], COMPARATORS[-2:]
FROZEN, TUNED = "frozen", "tuned"
TRAINED = (
    *((method, FROZEN) for method in COMPOSERS),
    *((method, TUNED) for method in (*FUSIONS, *COMPOSERS)),
    ("hybrid", TUNED),
)

Options = tuple[tuple[str, Any], ...]
ABLATIONS: dict[str, Options] = {
    **{f"{term} tuned alone": (("terms", (term,)),) for term in TERMS},
    "triplet + language": (("terms", ("triplet", "language")),),
    "triplet + pseudo_caption": (("terms", ("triplet", "pseudo_caption")),),
    "language + pseudo_caption": (("terms", ("language", "pseudo_caption")),),
    "the interpretation's share of the triplet not below 0": (("signed", False),),
    "negatives of the batch": (("negatives", "batch"),),
}
BEYOND: dict[str, Options] = {
    "hard negatives, 50 a query": (("hard_negatives", 50),),
    "distillation, weight 1": (("distill", 1.0),),
}


@dataclass(frozen=True)
class Setting:
    """What a training is tried with.

    Attributes:
        learning_rate: of AdamW.
        temperature: of the loss; a network learns it from there.
    """

    learning_rate: float
    temperature: float

    def __str__(self) -> str:
        return f"{self.learning_rate:g} and {self.temperature:g}"


@dataclass(frozen=True)
class Job:
    """One training or measurement.

    Attributes:
        dataset: whose tables and features it reads.
        method: of the evaluation.
        tower: how the text tower is tuned; None where it stays as it was.
        network: how the network on top of both towers is trained; None where there is none.
        seed: of the order of the queries and of what is initialised.
        options: `terms` and `signed` of the hybrid similarity, and parameters of `tune` that differ from
            params.yaml.
        keep: whether the tuned text tower is kept for later measurements.
    """

    dataset: str
    method: str
    tower: Setting | None = None
    network: Setting | None = None
    seed: int = 0
    options: Options = ()
    keep: bool = False

    @property
    def text(self) -> str:
        """Whether the text tower stays as it was or is trained too."""
        return TUNED if self.tower else FROZEN

    @property
    def setting(self) -> Setting | None:
        """Of the tower, or of the network where that alone is trained; None where nothing is."""
        return self.tower or self.network

    def __str__(self) -> str:
        parts = [self.dataset, self.method, self.text]
        parts += [f"rate and temperature {self.setting}"] if self.setting else []
        parts += [f"seed {self.seed}", *(f"{name} {value}" for name, value in self.options)]
        return ", ".join(parts)


def settings(params: Params) -> list[tuple[Setting, Setting]]:
    """What is tried on validation, for a tower and for a network: as many trials for every method.

    Raises:
        UserError: a temperature that is to be learned would start where it cannot be.
    """
    both = (params.tune, params.study.trials.tune), (params.comparators, params.study.trials.comparators)
    tower, network = (
        [Setting(base.learning_rate * by.rate, base.temperature * by.temperature) for by in factors]
        for base, factors in both
    )
    low, high = LEARNED_TEMPERATURE
    learned = [("comparators", network)] + [("tune", tower)] * params.tune.learn_temperature
    for name, tried in learned:
        for setting in tried:
            if not low <= setting.temperature <= high:
                raise UserError(
                    f"a learned temperature stays within {low:g} and {high:g}",
                    f"Change this factor or {name}.temperature",
                    file="params.yaml",
                    field=f"study.trials.{name}",
                    value=f"{setting.temperature:g}",
                )
    return list(zip(tower, network, strict=True))


def untrained(params: Params, datasets: Sequence[str]) -> list[Job]:
    """The methods that learn nothing; those with a share or weights choose them on validation."""
    return [Job(dataset, method, seed=params.seed) for dataset in datasets for method in UNTRAINED]


def trials(params: Params, datasets: Sequence[str]) -> list[Job]:
    """Every trial of every trained method, with the first seed; the longest first."""
    tried = settings(params)
    return [
        Job(
            dataset,
            method,
            tower if text == TUNED else None,
            network if method in COMPOSERS else None,
            params.seed,
            keep=method == "hybrid",
        )
        for method, text in reversed(TRAINED)
        for dataset in datasets
        for tower, network in tried
    ]


def further_seeds(params: Params, best: Sequence[Job]) -> list[Job]:
    """The best trial of each method again with the other seeds."""
    return [
        replace(job, seed=params.seed + number, keep=False)
        for number in range(1, params.study.seeds)
        for job in best
    ]


def variants(best: Sequence[Job], options: dict[str, Options]) -> dict[tuple[str, str], Job]:
    """The hybrid's best trial with other options: (name, dataset) -> job."""
    hybrids = [job for job in best if job.method == "hybrid"]
    return {
        (name, job.dataset): replace(job, options=changed, keep=False)
        for name, changed in options.items()
        for job in hybrids
    }
