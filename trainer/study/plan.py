"""What a study runs: every training and every measurement as one job, named by all that it depends on."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.params import LEARNED_TEMPERATURE, Params
from trainer.methods import registry
from trainer.methods.recipes import Network
from trainer.methods.registry import Family
from trainer.retrieval.similarity import TERMS

FROZEN, TUNED = "frozen", "tuned"
OURS = ("hybrid_combiner", "hybrid")  # the methods that are compared with all others, on the same tuned tower

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
CURVES = ("image_plus_text", "graph_combiner", "combiner_all_texts", "linear_mix", "hybrid")  # by `LEARNING`
TRAIN_QUERIES = "train_queries"
LEARNING: dict[str, Options] = {
    f"{queries} training queries": ((TRAIN_QUERIES, queries),) for queries in (50, 200, 800)
}
TEXTS = "texts"  # fault and share of the interpretations and pseudo captions that `worse_texts` writes
BY_RULE = "by rule, every fact right"
QUALITY: dict[str, Options] = {
    BY_RULE: ((TEXTS, ("left out", 0.0)),),
    **{
        f"{share:.0%} of the facts {fault}": ((TEXTS, (fault, share)),)
        for fault in ("left out", "wrong")
        for share in (0.05, 0.2, 0.5)
    },
}


def studied() -> list[str]:
    """Every method of the study; the terms of the hybrid are measured with its details."""
    return [method.name for method in registry.every() if method.family is not Family.TERMS]


def untrained_methods() -> list[str]:
    """The methods that train nothing."""
    return [name for name in studied() if name != "hybrid" and not has_network(name)]


def trained_methods() -> list[tuple[str, str]]:
    """Name and text tower, frozen or tuned, of everything that is trained."""
    networks = [(name, FROZEN) for name in studied() if has_network(name)]
    towers = [(method.name, TUNED) for method, _ in registry.comparators() if method.tower_texts]
    return [*networks, *towers, *((name, TUNED) for name in OURS)]


def has_network(name: str) -> bool:
    """Whether a method trains a network on the features."""
    return isinstance(registry.named(name).recipe, Network)


@dataclass(frozen=True)
class Hyperparameters:
    """Learning rate and temperature of a training.

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
        options: `terms` and `signed` of the hybrid similarity, `train_queries` (at most so many, drawn by the
            seed), `texts` (fault and share of worse ones), and parameters of `tune` that are not as in
            params.yaml.
        keep: whether the tuned text tower is kept for later measurements.
    """

    dataset: str
    method: str
    tower: Hyperparameters | None = None
    network: Hyperparameters | None = None
    seed: int = 0
    options: Options = ()
    keep: bool = False

    @property
    def text_tower(self) -> str:
        """Whether the text tower stays as it was or is trained too."""
        return TUNED if self.tower else FROZEN

    @property
    def hyperparameters(self) -> Hyperparameters | None:
        """Of the tower, or of the network where that alone is trained; None where nothing is."""
        return self.tower or self.network

    def __str__(self) -> str:
        words = [self.dataset, self.method, self.text_tower]
        words += [f"rate and temperature {self.hyperparameters}"] if self.hyperparameters else []
        words += [f"seed {self.seed}", *(f"{name} {value}" for name, value in self.options)]
        return ", ".join(words)


def same_tower(job: Job) -> Hashable:
    """Equal for jobs that tune the very same text tower: networks on it differ, but it is tuned once."""
    if not job.tower:
        return job
    texts = registry.named(job.method).tower_texts  # none of those that tune it with the hybrid similarity
    return job.dataset, texts, job.tower, job.seed, job.options


def tried_hyperparameters(params: Params) -> list[tuple[Hyperparameters, Hyperparameters]]:
    """The trials on validation, for a tower and for a network: the same number for every method.

    Raises:
        UserError: a temperature that is learned would start outside its bounds.
    """
    both = (params.tune, params.study.trials.tune), (params.comparators, params.study.trials.comparators)
    tower, network = (
        [Hyperparameters(base.learning_rate * f.rate, base.temperature * f.temperature) for f in factors]
        for base, factors in both
    )
    low, high = LEARNED_TEMPERATURE
    learns = [("comparators", network)] + [("tune", tower)] * params.tune.learn_temperature
    for name, tried in learns:
        for temperature in (pair.temperature for pair in tried):
            if not low <= temperature <= high:
                reason = f"a learned temperature stays within {low:g} and {high:g}"
                remedy, field = f"Change this factor or {name}.temperature", f"study.trials.{name}"
                raise UserError(reason, remedy, file="params.yaml", field=field, value=f"{temperature:g}")
    return list(zip(tower, network, strict=True))


def untrained(params: Params, datasets: Sequence[str]) -> list[Job]:
    """The methods that learn nothing; those with a share or weights choose them on validation."""
    return [Job(dataset, method, seed=params.seed) for dataset in datasets for method in untrained_methods()]


def trials(params: Params, datasets: Sequence[str]) -> list[Job]:
    """Every trial of every trained method, with the first seed; the longest first."""
    tried = tried_hyperparameters(params)
    return [
        Job(
            dataset,
            method,
            tower if text == TUNED else None,
            network if has_network(method) else None,
            params.seed,
            keep=method == "hybrid",
        )
        for method, text in reversed(trained_methods())
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


def learning(queries: int) -> dict[str, Options]:
    """Those of `LEARNING` with fewer queries than the train split has."""
    return {name: options for name, options in LEARNING.items() if dict(options)[TRAIN_QUERIES] < queries}


def variants(best: Sequence[Job], options: dict[str, Options]) -> dict[Job, str]:
    """The best trials with other options: job -> name of what is changed."""
    return {
        replace(job, options=changed, keep=False): name for name, changed in options.items() for job in best
    }
