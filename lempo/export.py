"""`lempo export`: a tuned model as a folder for a model hub."""

import shutil
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.paths import Paths


def export_tuned(paths: Paths, dataset: str, folder: Path) -> None:
    """Copy `data/tuned/<dataset>` and write its card again, with what `evaluate` measured on the test split.

    Raises:
        UserError: the dataset was not tuned or not evaluated, or the folder is there already.
    """
    from trainer.tuning.folder import CARD_NAME, model_card, read_record

    record = read_record(paths.tuned(dataset))
    measured = paths.metrics("evaluate", dataset)
    methods = read_json(measured, "Run `dvc repro`", "the metrics of this dataset are missing")
    if folder.exists():
        raise UserError("the folder is there already", "Name a new one", field="FOLDER", value=folder)
    try:
        test = {name: methods[name] for name in ("hybrid", "hybrid_untuned", "image_plus_text")}
        card = model_card(record, test)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            "the metrics or the record of the tuned model are damaged",
            "Run `dvc repro`",
            file=measured,
            value=error,
        ) from None
    tuned = paths.tuned(dataset)
    for file in sorted(tuned.iterdir()):
        if not file.is_file():
            raise UserError("it is no file", f"Run `dvc repro -f tune@{dataset}`", file=file)
    shutil.copytree(tuned, folder, ignore=shutil.ignore_patterns(CARD_NAME))
    (folder / CARD_NAME).write_text(card, encoding="utf-8")
    print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
