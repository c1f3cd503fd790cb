"""What a step of training costs is measured on as many queries as fit into memory."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from tests.trainer.tiny import make_dataset, make_params, vlm_folder
from trainer.study import details
from trainer.study.data import StudyData, load_model, load_study_data
from trainer.study.details import kept_bytes, vision_cost

__all__ = ["make_params", "vlm_folder"]


@pytest.fixture
def loaded(make_params: Callable[..., Params], tmp_path: Path) -> tuple[StudyData, Params]:
    params, paths = make_params(datasets=("one",)), Paths(tmp_path)
    make_dataset(paths, params, "one")
    return load_study_data(params, paths, "one", load_model(params, paths)), params


def test_more_images_keep_as_many_times_the_bytes(loaded: tuple[StudyData, Params]) -> None:
    model = loaded[0].vlm.model
    height, width = model.visual.image_size
    one, four = (kept_bytes(model, torch.randn(count, 3, height, width)) for count in (1, 4))
    assert one > 4 * 3 * height * width  # at least the pixels
    assert four == pytest.approx(4 * one, rel=0.1)


def test_a_step_has_as_many_queries_as_fit(
    loaded: tuple[StudyData, Params], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, params = loaded
    whole = vision_cost(data, params, steps=1)
    assert whole["queries"] == min(params.tune.batch_size, len(data.splits["train"])) > 2
    height, width = data.vlm.model.visual.image_size
    of_one = kept_bytes(data.vlm.model, torch.randn(1, 3, height, width))
    for images, queries in ((5, 2), (1, 1)):
        monkeypatch.setattr(details, "_KEPT_BYTES", images * of_one)
        cost = vision_cost(data, params, steps=1)
        assert cost["queries"] == queries and cost["images"] <= 2 * queries
        assert cost["fixed"] > 0 and cost["trained"] > 0
