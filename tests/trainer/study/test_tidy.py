"""The order of rows, and what the long frame says of a job."""

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest

from pipeline.base.params import Params
from trainer.study.jobs import TEST
from trainer.study.plan import FROZEN, TUNED, Hyperparameters, Job
from trainer.study.run import Evidence
from trainer.study.tidy import UNTUNED, VALIDATION, WHOLE_GALLERY, in_order, tidy

HYBRID = Job("d", "hybrid", Hyperparameters(0.1, 0.05))
RIGHT, WRONG = ({"rank": [rank] * 4, "average_precision": [1 / rank] * 4} for rank in (1, 99))


def result(validation: float) -> dict[str, object]:
    return {"validation": {"mean_recall": validation}, "views": {TEST: WRONG, "without twins": RIGHT}}


@pytest.fixture
def found(make_params: Callable[..., Params]) -> pl.DataFrame:
    changed = replace(HYBRID, options=(("negatives", "batch"),))
    trial, seed = replace(HYBRID, tower=Hyperparameters(9, 0.05)), replace(HYBRID, seed=1)
    jobs = (Job("d", "weicom"), HYBRID, trial, seed, changed)
    results = {job: result(place) for place, job in enumerate(jobs)}
    of_view = {"validation": {"mean_recall": 5.0}, "test": {"R@1": 6.0}}
    sizes = {"160": {"R@1": 1.0}, "40": {"R@1": 2.0}}
    details = {
        "terms": {TUNED: {"triplet": {"R@1": 3.0}}, UNTUNED: {"triplet": {"R@1": 4.0}}},
        "few_queries": {UNTUNED: {"best": sizes}},
        "transfer": {"other": {"mean_recall": 7.0}},
        "views": {"captions": {"share": 0.5, "with": of_view, "without": of_view}},
    }
    variants = {changed: "batch"}
    return tidy(
        Evidence(make_params(), results, [HYBRID], variants, {}, {"d": details}, {"d": {"fixed": 8.0}})
    )


def test_wanted_values_choose_and_order_the_rows() -> None:
    frame = pl.DataFrame({"a": ["y", "x", "x", "z"], "b": [1, 2, 1, 1], "c": [1, 2, 3, 4]})
    assert in_order(frame, a=["x", "y"])["c"].to_list() == [2, 3, 1]
    assert in_order(frame, b=[1, 2], a=["x", "z"])["c"].to_list() == [3, 4, 2]
    assert in_order(frame, a=["other"]).is_empty()


def test_jobs_are_those_of_the_first_seed_that_validation_prefers(found: pl.DataFrame) -> None:
    reached = found.filter(measure=VALIDATION, view=WHOLE_GALLERY).drop_nulls("method")
    assert dict(reached.select("variant", "value").iter_rows()) == {"weicom": 0, "hybrid": 1, "batch": 4}
    assert reached["text_tower"].to_list() == [FROZEN, TUNED, TUNED]
    recall = found.filter(method="weicom", measure="R@1")
    assert dict(recall.select("view", "value").iter_rows()) == {WHOLE_GALLERY: 0, "without twins": 100}


def test_details_have_the_columns_that_apply(found: pl.DataFrame) -> None:
    assert found.filter(view="terms")["text_tower"].to_list() == [TUNED, FROZEN]
    assert found.filter(view="few queries")["measure"].to_list() == ["R@1, 40", "R@1, 160"]
    assert found.filter(view="transfer").select("dataset", "variant").rows() == [("other", "d")]
    assert found.filter(view="cost")["value"].to_list() == [8]
    added = found.filter(pl.col("method").is_null(), view=WHOLE_GALLERY)
    assert added["variant"].unique(maintain_order=True).to_list() == ["captions", "without captions"]
    assert added.filter(measure="share")["variant"].to_list() == ["captions"]
