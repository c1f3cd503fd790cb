"""The batch that is quickest by measurement, where a person leaves the choice."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.base.params import Params
from pipeline.vision import batch_size as measured
from pipeline.vision.batch_size import USUAL, batch_size
from pipeline.vision.vlm import Vlm, load_vlm
from tests.trainer.tiny import make_params, vlm_folder

__all__ = ["make_params", "vlm_folder"]


@pytest.fixture
def vlm(make_params: Callable[..., Params]) -> Vlm:
    return load_vlm(make_params().vlm, "cpu")


def test_a_number_is_taken_as_it_is_and_few_images_are_not_measured_for(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "_seconds", lambda *_: pytest.fail("measured"))
    assert batch_size(vlm, 7, 10**6) == 7
    assert batch_size(vlm, "auto", 100) == USUAL


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [
        ({8: 100, 16: 200, 32: 300, 64: 305, 128: 290}, 32),
        ({8: 10, 16: 20, 32: 40, 64: 80, 128: 160, 256: 320}, 256),
        ({8: 5, 16: 4}, 8),
    ],
)
def test_the_smallest_of_the_quickest_is_taken(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch, rates: dict[int, int], chosen: int
) -> None:
    def seconds(_: Any, __: Any, size: int) -> float:
        if size not in rates:
            raise torch.OutOfMemoryError
        return size / rates[size]

    monkeypatch.setattr(measured, "_seconds", seconds)
    assert batch_size(vlm, "auto", 10**6) == chosen


def test_a_real_model_is_measured_until_a_batch_takes_too_long(
    vlm: Vlm, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(measured, "_LONGEST_S", 0.0)
    caplog.set_level(logging.INFO)
    threads = torch.get_num_threads()
    assert batch_size(vlm, "auto", 10**6, threads=1) == 8
    assert "8 images at a time; images/s by batch: 8: " in caplog.text
    assert torch.get_num_threads() == threads
