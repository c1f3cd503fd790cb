from collections.abc import Callable

import pytest

from pipeline.base.errors import UserError
from pipeline.base.params import ComparatorParams, Params, TuneParams
from trainer.study.plan import (
    TUNED,
    Hyperparameters,
    further_seeds,
    has_network,
    learning,
    trained_methods,
    trials,
    untrained,
)

TRAINED = trained_methods()
FACTORS = [(1, 1), (2, 1), (1, 3)]
OF_NETWORKS = [(0.5, 1), (1, 1), (1, 2)]
TRIALS = {
    name: [{"rate": rate, "temperature": temperature} for rate, temperature in factors]
    for name, factors in (("tune", FACTORS), ("comparators", OF_NETWORKS))
}


def test_every_trained_method_gets_as_many_trials_and_seeds(make_params: Callable[..., Params]) -> None:
    params = make_params(study={"seeds": 4, "trials": TRIALS})
    tried = trials(params, ["one", "two"])
    assert len(set(tried)) == len(tried) == len(TRAINED) * 3 * 2
    for dataset in ("one", "two"):
        for method, text in TRAINED:
            own = [j for j in tried if (j.dataset, j.method, j.text_tower) == (dataset, method, text)]
            tower, network = text == TUNED, has_network(method)
            assert _factors([job.tower for job in own], params.tune) == (FACTORS if tower else [None] * 3)
            assert _factors([job.network for job in own], params.comparators) == (
                OF_NETWORKS if network else [None] * 3
            )
            assert {job.seed for job in own} == {params.seed}
    best = tried[::3]
    more = further_seeds(params, best)
    assert len(more) == len(best) * 3
    assert {job.seed for job in more} == {params.seed + number for number in (1, 2, 3)}
    assert not set(more) & set(tried) and not any(job.hyperparameters for job in untrained(params, ["one"]))


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("name", ["tune", "comparators"])
def test_a_trial_that_cannot_learn_its_temperature_is_named(
    make_params: Callable[..., Params], name: str, learned: bool
) -> None:
    one, low = {"rate": 1, "temperature": 1}, {"rate": 1, "temperature": 0.001}
    of = {"tune": [one], "comparators": [one], name: [low]}
    params = make_params(
        study={"seeds": 2, "trials": of}, tune={"temperature": 0.02, "learn_temperature": learned}
    )
    if name == "comparators" or learned:
        with pytest.raises(UserError, match=rf"study\.trials\.{name}.*within 0\.01 and 1"):
            trials(params, ["one"])
    else:
        assert trials(params, ["one"])


def _factors(settings: list[Hyperparameters | None], base: TuneParams | ComparatorParams) -> list[object]:
    return [
        one
        and (
            pytest.approx(one.learning_rate / base.learning_rate),
            pytest.approx(one.temperature / base.temperature),
        )
        for one in settings
    ]


def test_the_hybrid_is_tuned_on_fewer_queries_than_there_are() -> None:
    assert list(learning(720)) == ["50 training queries", "200 training queries"]
    assert list(learning(801))[-1] == "800 training queries"
    assert learning(50) == {}
