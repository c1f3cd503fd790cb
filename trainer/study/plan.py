"""What a study runs: every training and every measurement as one job, named by all that it depends on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.params import Params
from trainer.methods import COMPARATORS
from trainer.similarity import TERMS

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
class Job:
    """One training or measurement.

    Attributes:
        dataset: whose tables and features it reads.
        method: of the evaluation.
        text: whether the text tower stays as it was (`frozen`) or is trained too (`tuned`).
        rate: learning rate; 0 where nothing is trained.
        temperature: of the loss; learned from there where a network is trained on frozen features.
        seed: of the order of the queries and of what is initialised.
        options: `terms` and `signed` of the hybrid similarity, and parameters of `tune` that differ from
            params.yaml.
        keep: whether the tuned text tower is kept for later measurements.
    """

    dataset: str
    method: str
    text: str = FROZEN
    rate: float = 0.0
    temperature: float = 0.0
    seed: int = 0
    options: Options = ()
    keep: bool = False

    def __str__(self) -> str:
        parts = [self.dataset, self.method, self.text, f"rate {self.rate:g}"]
        parts += [f"temperature {self.temperature:g}", f"seed {self.seed}"]
        return ", ".join(parts + [f"{name} {value}" for name, value in self.options])


def tried(params: Params, text: str) -> list[tuple[float, float]]:
    """Learning rates and temperatures that are tried on validation, as many for every trained method."""
    base = params.tune if text == TUNED else params.comparators
    return [
        (base.learning_rate * factors.rate, base.temperature * factors.temperature)
        for factors in params.study.trials
    ]


def untrained(params: Params, datasets: Sequence[str]) -> list[Job]:
    """The methods that learn nothing; those with a share or weights choose them on validation."""
    return [Job(dataset, method, seed=params.seed) for dataset in datasets for method in UNTRAINED]


def trials(params: Params, datasets: Sequence[str]) -> list[Job]:
    """Every trial of every trained method, with the first seed; the longest first."""
    return [
        Job(dataset, method, text, rate, temperature, params.seed, keep=method == "hybrid")
        for method, text in reversed(TRAINED)
        for dataset in datasets
        for rate, temperature in tried(params, text)
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
