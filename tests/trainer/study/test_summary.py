from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.base.params import Params
from trainer.methods.registry import Family
from trainer.study.figures import CLAIMS, lead_rows
from trainer.study.jobs import TEST
from trainer.study.plan import FROZEN, LEARNING, TUNED, Hyperparameters, Job, studied
from trainer.study.run import Evidence, best_trials, preferred_towers
from trainer.study.summary import (
    ALL_QUERIES,
    by_training_queries,
    compare,
    leads,
    leads_by_training_queries,
    values,
)
from trainer.study.tidy import UNTUNED

MILD, STEEP = Hyperparameters(0.1, 0.05), Hyperparameters(0.2, 0.05)
FAMILIES = {"d": ["a", "a", "b", "b", "c", "c"]}


def result(ranks: list[int], validation: float) -> dict:
    view = {"rank": ranks, "average_precision": [1 / rank for rank in ranks]}
    return {"validation": {"mean_recall": validation, "mAP": validation}, "views": {TEST: view}}


@pytest.fixture
def evidence(make_params: Callable[..., Params]) -> Evidence:
    results = {
        Job("d", method): result([9, 9, 9, 9, 9, 9], 10.0) for method in studied() if method != "hybrid"
    }
    del results[Job("d", "combiner")]
    results[Job("d", "combiner", network=MILD)] = result([1, 9, 9, 9, 9, 9], 30.0)
    results[Job("d", "combiner", MILD, MILD)] = result([1, 1, 9, 9, 9, 9], 20.0)
    results[Job("d", "hybrid", MILD, seed=0)] = result([1, 1, 1, 1, 9, 9], 60.0)
    results[Job("d", "hybrid", MILD, seed=1)] = result([1, 1, 9, 9, 9, 9], 50.0)
    results[Job("d", "hybrid", STEEP, seed=0)] = result([9, 9, 9, 9, 9, 9], 10.0)
    results[Job("d", "hybrid", Hyperparameters(0.1, 0.3))] = result([9, 9, 9, 9, 9, 9], 10.0)
    trials = {job: found for job, found in results.items() if job.seed == 0}
    return Evidence(make_params(), results, best_trials(trials), {}, {}, {}, {})


def test_values_are_hits_and_precision() -> None:
    assert values([1, 5, 10, 11], [1, 0.2, 0.1, 0.05], "mean_recall").tolist() == pytest.approx(
        [100, 200 / 3, 100 / 3, 0]
    )
    assert values([1, 5, 10, 11], [1, 0.2, 0.1, 0.05], "R@5").tolist() == [100, 100, 0, 0]
    assert values([1, 2], [1.0, 0.5], "mAP").tolist() == [100, 50]


def test_the_trial_and_the_text_tower_that_validation_prefers_stand(evidence: Evidence) -> None:
    assert Job("d", "hybrid", MILD) in evidence.best
    assert Job("d", "hybrid", STEEP) not in evidence.best
    compared = compare(evidence, FAMILIES)
    frozen = Job("d", "combiner", network=MILD)
    assert preferred_towers(evidence.best, evidence.results) == [frozen, Job("d", "hybrid", MILD)]
    towers = compared.filter(method="combiner", measure="R@1")["text_tower"]
    assert towers.to_list() == [FROZEN, TUNED]  # though the other is better on test
    claims = lead_rows(compared, FAMILIES).filter(table="claim", dataset="d", measure="R@1")
    assert claims.filter(method="combiner", variant=CLAIMS[Family.NO_LANGUAGE_MODEL]).height == 1


def test_means_and_deviations_are_over_the_seeds(evidence: Evidence) -> None:
    of = compare(evidence, FAMILIES).filter(measure="R@1").rows_by_key("method", named=True, unique=True)
    hybrid = of["hybrid"]
    assert hybrid["seeds"] == 2
    assert hybrid["value"] == pytest.approx(50)
    assert hybrid["deviation"] == pytest.approx(np.std([400 / 6, 200 / 6], ddof=1))
    assert hybrid["low"] < 50 < hybrid["high"]
    assert of["weicom"]["deviation"] is None


def test_leads_pair_the_queries_and_flip_whole_families(evidence: Evidence) -> None:
    found = leads(compare(evidence, FAMILIES), FAMILIES, ["hybrid"]).filter(measure="R@1")
    of = found.rows_by_key("method", named=True, unique=True)
    assert of["weicom"]["value"] == pytest.approx(50)
    assert of["combiner"]["value"] == pytest.approx(50 - 100 / 6)
    assert of["weicom"]["p"] == pytest.approx(0.5, abs=0.03)  # two families of three lead: half of the signs


def test_curves_are_means_over_the_seeds_and_leads_compare_as_many_queries(evidence: Evidence) -> None:
    name, of = next(iter(LEARNING.items()))
    mix, hybrid = Job("d", "linear_mix", MILD, MILD), Job("d", "hybrid", MILD)
    few = {replace(job, options=of): name for job in (mix, hybrid)}
    found = {
        mix: result([1, 1, 9, 9, 9, 9], 20.0),
        replace(mix, options=of): result([9] * 6, 0.0),
        replace(hybrid, options=of): result([1, 9, 9, 9, 9, 9], 0.0),
        replace(hybrid, options=of, seed=1): result([1, 1, 1, 9, 9, 9], 0.0),
    }
    results = evidence.results | found
    curves = by_training_queries(
        replace(evidence, results=results, best=[*evidence.best, mix], fewer=few), FAMILIES
    )
    recall = curves.filter(measure="R@1").select("method", "variant", "seeds", "value").rows()
    assert [(*row[:3], round(row[3], 1)) for row in recall] == [
        ("linear_mix", name, 1, 0.0), ("linear_mix", ALL_QUERIES, 1, 33.3), ("hybrid", UNTUNED, 1, 0.0),
        ("hybrid", name, 2, 33.3), ("hybrid", ALL_QUERIES, 2, 50.0),
    ]  # fmt: skip
    ahead = leads_by_training_queries(curves, FAMILIES).filter(measure="R@1")
    assert ahead.select("ours", "method", "variant").rows() == [
        ("hybrid", "linear_mix", name),
        ("hybrid", "linear_mix", ALL_QUERIES),
    ]
    assert ahead["value"].to_list() == pytest.approx([100 / 3, 100 / 6])
