# ruff: noqa: F401, F811 - fixtures are imported by their names
import csv
import json
from collections.abc import Callable

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import QUERIES, RANKINGS
from pipeline.base.tables import as_table, read_table, write_table
from stages import evaluate, tune
from tests.belonging import sign
from tests.trainer.tiny import make_dataset, make_params, project, vlm_folder
from trainer.methods import registry
from trainer.retrieval.answers import make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.metrics import retrieval_metrics
from trainer.retrieval.ranking import rank_batch
from trainer.retrieval.splits import Split

MakeParams = Callable[..., Params]
METHODS = [method.name for method in registry.METHODS]
USES_CAPTIONS = {method.name for method in registry.METHODS if method.reads_captions}
KEYS = {"R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall"}


@pytest.fixture(scope="module")
def evaluated(make_params: MakeParams, tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = Paths(tmp_path_factory.mktemp("evaluated"))
    params = make_params(tune={"epochs": 8, "patience": 8}, comparators={"epochs": 10})
    make_dataset(paths, params, "tiny")
    tune.run(params, paths, "tiny")
    evaluate.run(params, paths, "tiny")
    return paths


def _metrics(paths: Paths) -> dict[str, dict[str, float]]:
    return json.loads(paths.metrics("evaluate", "tiny").read_text())


def test_every_method_has_every_metric(evaluated: Paths) -> None:
    metrics = _metrics(evaluated)
    assert set(metrics) == set(METHODS)
    for method, values in metrics.items():
        assert KEYS <= set(values) <= KEYS | {"missing_captions"}
        assert all(0 <= values[key] <= 100 for key in KEYS)
        assert values.get("missing_captions") == (1 if method in USES_CAPTIONS else None)


def test_the_summary_has_the_hybrids_figures_beside_its_datasets_name(evaluated: Paths) -> None:
    hybrid = _metrics(evaluated)["hybrid"]
    summary = json.loads(evaluated.summary("evaluate", "tiny").read_text())
    assert summary == {"tiny": {name: hybrid[name] for name in ("R@1", "mean_recall")}}


def test_metrics_can_be_computed_again_from_the_rankings(evaluated: Paths) -> None:
    rows = read_table(evaluated.rankings("tiny"), RANKINGS).to_pylist()
    for method, values in _metrics(evaluated).items():
        mine = [row for row in rows if row["method"] == method]
        assert len(mine) == 16
        rank = torch.tensor([row["rank"] for row in mine])
        again = retrieval_metrics(rank, torch.tensor([row["average_precision"] for row in mine]))
        assert again == pytest.approx({key: values[key] for key in KEYS}, abs=1e-5)


def test_the_curves_hold_recall_at_every_k(evaluated: Paths) -> None:
    with open(evaluated.plots("evaluate", "tiny")) as file:
        curve = list(csv.DictReader(file))
    assert list(curve[0]) == evaluate.curve().names
    assert set(curve[0]) == {"k", *_metrics(evaluated)}
    assert [int(point["k"]) for point in curve] == list(range(1, 51))
    for method, values in _metrics(evaluated).items():
        recalls = [float(point[method]) for point in curve]
        assert recalls == sorted(recalls)
        for k in (1, 5, 10, 50):
            assert recalls[k - 1] == pytest.approx(values[f"R@{k}"], abs=1e-5)


def test_rankings_agree_with_the_queries(evaluated: Paths) -> None:
    queries = {row["query_id"]: row for row in read_table(evaluated.queries("tiny"), QUERIES).to_pylist()}
    rows = read_table(evaluated.rankings("tiny"), RANKINGS).to_pylist()
    assert rows == sorted(rows, key=lambda row: (row["method"], row["query_id"]))
    for row in rows:
        query = queries[row["query_id"]]
        assert query["split"] == "test"
        assert row["kind"] == query["kind"]
        assert len(row["top"]) == len(set(row["top"])) == 50
        assert query["reference_id"] not in row["top"]
        assert len(row["scores"]) == 50 and row["scores"] == sorted(row["scores"], reverse=True)
        if row["method"] in ("hybrid", "hybrid_untuned"):
            sums = [sum(shares.values()) for shares in row["shares"]]
            assert sums == pytest.approx(row["scores"], abs=2.1e-4)  # four rounded numbers
        else:
            assert row["shares"] is None
        right = [place for place, image in enumerate(row["top"], start=1) if image in query["target_ids"]]
        assert right[0] == row["rank"] if right else row["rank"] > 50
        if len(right) == len(query["target_ids"]):
            precision = sum(found / place for found, place in enumerate(right, start=1)) / len(right)
            assert row["average_precision"] == pytest.approx(precision)


def test_a_small_gallery_gives_fewer_images_and_as_many_scores() -> None:
    answers = make_answers([0, 1], [[0], [1]], [2, -1], 3)
    ids, no_image = ["a", "b", "c"], Gallery.of(torch.empty(3, 0))
    split = Split(["q", "r"], ["add", "move"], ids, no_image, torch.tensor([2, 0]), answers, {}, 0)
    scores = torch.tensor([[0.25, 0.5, 1.0], [0.5, 0.12344, -1e-6]])
    shares = torch.arange(18.0).reshape(2, 3, 3) / 8
    made = evaluate._rows("mine", split, rank_batch(scores, answers), shares)
    rows = as_table(made, RANKINGS, "tiny").to_pylist()
    assert [(row["query_id"], row["rank"], row["top"], row["scores"]) for row in rows] == [
        ("q", 2, ["b", "a"], [0.5, 0.25]),
        ("r", 2, ["a", "b", "c"], [0.5, pytest.approx(0.1234, abs=1e-8), 0.0]),
    ]  # fmt: skip
    assert [[share["language"] for share in row["shares"]] for row in rows] == [
        [0.125, 0.5], [1.25, 1.625, 2.0],
    ]  # fmt: skip


def test_what_knows_more_finds_more(evaluated: Paths) -> None:
    """The tiny features hold colour, thing and place, so the tuned hybrid must beat an untrained chance."""
    metrics = _metrics(evaluated)
    assert metrics["hybrid"]["mean_recall"] > metrics["chance"]["mean_recall"] + 20
    assert metrics["hybrid"]["R@1"] > metrics["image_only"]["R@1"]


def test_a_second_run_gives_the_same_bytes(evaluated: Paths, make_params: MakeParams) -> None:
    files = [evaluated.rankings("tiny"), evaluated.metrics("evaluate", "tiny")]
    before = [file.read_bytes() for file in files]
    params = make_params(tune={"epochs": 8, "patience": 8}, comparators={"epochs": 10})
    evaluate.run(params, evaluated, "tiny")
    assert [file.read_bytes() for file in files] == before


def test_nothing_tuned_is_one_line(project: Paths, make_params: MakeParams) -> None:
    with pytest.raises(UserError, match=r"lempo\.json.*tuned model is missing"):
        evaluate.run(make_params(), project, "tiny")


def test_a_split_without_queries_is_named(project: Paths, make_params: MakeParams) -> None:
    params = make_params(tune={"epochs": 0})
    tune.run(params, project, "tiny")
    rows = read_table(project.queries("tiny"), QUERIES).to_pylist()
    write_table([row for row in rows if row["split"] != "test"], project.queries("tiny"), QUERIES)
    sign(params, project, "tiny")
    with pytest.raises(UserError, match=r"pairs/tiny\.parquet.*split.*test"):
        evaluate.run(params, project, "tiny")
