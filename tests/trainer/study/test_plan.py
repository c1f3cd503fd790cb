from collections.abc import Callable

from pipeline.params import Params
from trainer.study.plan import TRAINED, further_seeds, trials, untrained


def test_every_trained_method_gets_as_many_trials_and_seeds(make_params: Callable[..., Params]) -> None:
    params = make_params(study={"seeds": 4, "rate_factors": (0.5, 1.0, 2.0)})
    tried = trials(params, ["one", "two"])
    assert len(set(tried)) == len(tried) == len(TRAINED) * 3 * 2
    for dataset in ("one", "two"):
        for method, text in TRAINED:
            own = [j for j in tried if (j.dataset, j.method, j.text) == (dataset, method, text)]
            assert len({job.rate for job in own}) == 3 and {job.seed for job in own} == {params.seed}
    best = [job for job in tried if job.rate in (params.tune.learning_rate, params.comparators.learning_rate)]
    more = further_seeds(params, best)
    assert len(more) == len(best) * 3
    assert {job.seed for job in more} == {params.seed + number for number in (1, 2, 3)}
    assert not set(more) & set(tried) and not any(job.rate for job in untrained(params, ["one"]))
