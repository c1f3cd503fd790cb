"""Metrics files: equal figures are equal bytes."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.base.metrics_io import read_metrics, write_curve, write_metrics

CURVE = pa.schema({"epoch": pa.int64(), "loss": pa.float64()})


def test_keys_are_sorted_and_floats_rounded(tmp_path: Path) -> None:
    path = tmp_path / "deep/metrics.json"
    write_metrics(path, {"b": 1 / 3, "a": {"z": [2 / 3, None], "y": 1, "x": True}})
    assert " ".join(path.read_text().split()) == (
        '{ "a": { "x": true, "y": 1, "z": [ 0.666667, null ] }, "b": 0.333333 }'
    )
    assert read_metrics(path) == {"a": {"x": True, "y": 1, "z": [0.666667, None]}, "b": 0.333333}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_is_not_written(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError):
        write_metrics(tmp_path / "metrics.json", {"a": value})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        read_metrics(tmp_path / "metrics.json")
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(UserError, match="no JSON"):
        read_metrics(tmp_path / "metrics.json")


def test_a_curve_has_the_columns_of_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "deep/curve.csv"
    write_curve(path, [{"loss": None, "epoch": 0}, {"epoch": 1, "loss": 2 / 3}], CURVE)
    assert path.read_text() == "epoch,loss\n0,\n1,0.666667\n"


@pytest.mark.parametrize("row", [{"epoch": 1}, {"epoch": 1, "loss": 0.5, "rate": 0.1}])
def test_a_curve_with_other_columns_is_not_written(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are not the columns"):
        write_curve(tmp_path / "curve.csv", [{"epoch": 0, "loss": None}, row], CURVE)
    assert list(tmp_path.iterdir()) == []
