"""`speed/results.json`: one entry a figure, with what it was measured against and by which command."""

import json
from pathlib import Path
from typing import Any

from pipeline.base.metrics_io import write_metrics

RESULTS = Path(__file__).with_name("results.json")


def record(name: str, value: float | None, unit: str, against: str, command: str) -> None:
    """Print a figure and write it beside those of other benchmarks."""
    print(f"{name}: {value} {unit}", flush=True)
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    entry = {"value": value, "unit": unit, "against": against, "command": command}
    write_metrics(RESULTS, {**known, name: entry})
