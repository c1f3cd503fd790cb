from collections.abc import Callable

import pytest

from pipeline.params import Params
from trainer.study.plan import TRAINED, TUNED, further_seeds, trials, untrained

TRIALS = [{"rate": 1, "temperature": 1}, {"rate": 2, "temperature": 1}, {"rate": 1, "temperature": 3}]


def test_every_trained_method_gets_as_many_trials_and_seeds(make_params: Callable[..., Params]) -> None:
    params = make_params(study={"seeds": 4, "trials": TRIALS})
    tried = trials(params, ["one", "two"])
    assert len(set(tried)) == len(tried) == len(TRAINED) * 3 * 2
    for dataset in ("one", "two"):
        for method, text in TRAINED:
            own = [j for j in tried if (j.dataset, j.method, j.text) == (dataset, method, text)]
            base = params.tune if text == TUNED else params.comparators
            factors = [(job.rate / base.learning_rate, job.temperature / base.temperature) for job in own]
            assert factors == [
                (pytest.approx(trial["rate"]), pytest.approx(trial["temperature"])) for trial in TRIALS
            ]
            assert {job.seed for job in own} == {params.seed}
    best = tried[::3]
    more = further_seeds(params, best)
    assert len(more) == len(best) * 3
    assert {job.seed for job in more} == {params.seed + number for number in (1, 2, 3)}
    assert not set(more) & set(tried) and not any(job.rate for job in untrained(params, ["one"]))
