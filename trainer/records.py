"""What `lempo tune` says of a run in `lempo.json`, read back."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from trainer.saving import RECORD_NAME


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
