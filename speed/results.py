"""`speed/results.json`: figures, what each is compared with, and the command that measures it."""

import json
from pathlib import Path
from typing import Any

from pipeline.base.metrics_io import write_metrics

RESULTS = Path(__file__).with_name("results.json")


def record(name: str, value: float | None, unit: str, against: str, command: str, **spread: float) -> None:
    """Print a figure and write it to the file, next to those of other benchmarks.

    Args:
        spread: `low` and `high`, where they are known.
    """
    print(f"{name}: {value} {unit}", flush=True)
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results[name] = {"value": value, "unit": unit, "against": against, "command": command, **spread}
    write_metrics(RESULTS, results)
