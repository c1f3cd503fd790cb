"""Weights and mixture as they stand in JSON, under the names that `params.yaml` gives them."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from trainer.saving import RECORD_NAME
from trainer.similarity import SHARES, TERMS
from trainer.weights import Choice


def choice_record(choice: Choice) -> dict[str, dict[str, float]]:
    """{"weights": {...}, "mixture": {...}}."""
    return {
        "weights": dict(zip(TERMS, choice.weights, strict=True)),
        "mixture": dict(zip(SHARES, choice.mixture, strict=True)),
    }


def choice_of(record: dict[str, Any]) -> Choice:
    """The choice that `choice_record` wrote."""
    weights, mixture = record["weights"], record["mixture"]
    return Choice(
        (weights["triplet"], weights["language"], weights["pseudo_caption"]),
        (mixture["image"], mixture["text"], mixture["graph"]),
    )


def read_record(folder: Path) -> dict[str, Any]:
    """`lempo.json` of a tuned folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / RECORD_NAME
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            "the tuned model is missing", "Run `dvc repro`, or `lempo tune` for this dataset", file=path
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError("the file is no JSON", "Run `dvc repro`", file=path, value=error) from None
    if not isinstance(record, dict) or not {"weights", "mixture", "untuned"} <= record.keys():
        raise UserError("the file is not what `lempo tune` writes", "Run `dvc repro`", file=path)
    return record
