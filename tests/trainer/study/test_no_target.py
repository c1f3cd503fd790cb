"""What a method reads of a query says nothing of its target."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table, write_table
from tests.belonging import sign
from tests.trainer.tiny import COLOURS, THINGS, make_dataset
from trainer.methods import registry
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.study.data import StudyData, load_model, load_study_data
from trainer.study.jobs import run_job
from trainer.study.plan import Hyperparameters, Job, has_network, studied

SETTING = Hyperparameters(1e-2, 0.05)
METHODS = [method.name for method in registry.every() if method.recipe and method.name in studied()]


@pytest.fixture(scope="module")
def loaded(
    make_params: Callable[..., Params], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Params, StudyData, StudyData]:
    """A project, and the same with other targets on test, other graphs and captions of all but references."""
    params = make_params(datasets=("one",), comparators={"epochs": 2})
    found = []
    for name in ("plain", "changed"):
        paths = Paths(tmp_path_factory.mktemp(name))
        make_dataset(paths, params, "one")
        if name == "changed":
            _change(paths)
            sign(params, paths, "one")
        found.append(load_study_data(params, paths, "one", load_model(params, paths)))
    return params, *found


def _change(paths: Paths) -> None:
    queries = read_table(paths.queries("one"), QUERIES).to_pylist()
    references = {row["reference_id"] for row in queries}
    for row in queries:
        if row["split"] == "test":
            place = "ab"[row["target_id"].endswith("-a")]
            row["target_id"] = row["target_id"][:-1] + place
            row["target_ids"] = [row["target_id"]]
    write_table(queries, paths.queries("one"), QUERIES)
    graphs = read_table(paths.scene_graphs("one"), SCENE_GRAPHS).to_pylist()
    for number, row in enumerate(graphs):
        if row["image_id"] not in references:
            row["objects"][0] |= {"name": THINGS[number % 8], "attributes": [COLOURS[number % 7]]}
            row["scene"] = "car"
    write_table(graphs, paths.scene_graphs("one"), SCENE_GRAPHS)
    captions = read_table(paths.interpretations("one"), INTERPRETATIONS).to_pylist()
    other: list[dict[str, Any]] = [
        row if row["image_id"] in references else {**row, "text": "a grey pool."} for row in captions
    ]
    write_table(other, paths.interpretations("one"), INTERPRETATIONS)


def test_inputs_are_of_the_query_alone(loaded: tuple[Params, StudyData, StudyData]) -> None:
    _, plain, changed = loaded
    assert plain.splits["test"].answers.target.tolist() != changed.splits["test"].answers.target.tolist()
    for split, frozen in plain.frozen.items():
        other = changed.frozen[split]
        for name in TEXT_INPUTS:
            assert torch.equal(frozen.text[name], other.text[name])
        one, two = frozen.graphs, other.graphs
        assert one is not None and two is not None
        assert torch.equal(one.features[one.nodes], two.features[two.nodes])
        assert len(one.nodes) == len(frozen.split)


@pytest.mark.parametrize("method", METHODS)
def test_the_test_splits_targets_change_no_score(
    loaded: tuple[Params, StudyData, StudyData], method: str
) -> None:
    """Scores, told by the ranks of one fixed set of answers."""
    params, plain, changed = loaded
    job = Job("one", method, network=SETTING if has_network(method) else None)
    answers = plain.splits["test"].answers
    found = []
    for data in (plain, changed):
        test = data.splits["test"]
        object.__setattr__(test, "answers", answers)
        data.traps = plain.traps
        found.append({**run_job(job, data, params)[0], "seconds": 0})
    assert found[0] == found[1]
