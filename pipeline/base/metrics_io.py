"""Metrics as JSON and curves as CSV, with six decimal places: equal results are equal bytes."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.files import identity_hash, read_json, replacing, write_json

DIGITS = 6


def write_metrics(path: Path, metrics: dict[str, Any]) -> None:
    """Write a metrics file; a figure that is not known is None.

    Raises:
        ValueError: a figure is NaN or infinite.
    """
    write_json(path, rounded(metrics))


def write_curve(path: Path, rows: Sequence[Mapping[str, Any]], columns: pa.Schema) -> None:
    """Write a CSV file with these columns; None is an empty cell.

    Raises:
        ValueError: the keys of a row are not the columns.
    """
    for row in rows:
        if row.keys() != set(columns.names):
            raise ValueError(f"{path}: {list(row)} are not the columns {columns.names}")
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rounded(row) for row in rows)


def read_metrics(path: Path) -> dict[str, Any]:
    """Read a metrics file.

    Raises:
        UserError: it is missing or holds no JSON object.
    """
    return read_json(path, "Run `dvc repro`", "the metrics are missing")


def metrics_hash(path: Path) -> str:
    """Hex sha256 of the figures in a metrics file, however the file is laid out."""
    return identity_hash(read_metrics(path))


def rounded(value: Any) -> Any:
    """The value as a metrics file holds it: every number with six decimal places."""
    if isinstance(value, Mapping):
        return {str(key): rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry) for entry in value]
    if isinstance(value, float) and math.isfinite(value):
        return round(value, DIGITS)
    return value
