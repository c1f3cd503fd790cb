"""`lempo export`: a tuned model as a folder for a model hub."""

import os
import shutil
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import read_json
from pipeline.base.metrics_io import metrics_hash
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import RANKINGS
from pipeline.base.storage import storage_errors, temporary_folder
from pipeline.base.tables import table_provenance


def export_tuned(params: Params, paths: Paths, dataset: str, folder: Path) -> None:
    """Copy `data/tuned/<dataset>` and write its card again, with what `evaluate` measured on the test split.

    Raises:
        UserError: the dataset was not tuned or not evaluated, the metrics are not of this model, the model is
            not of the present parameters and tables, or the folder is there already.
    """
    from trainer.tuning.folder import CARD_NAME, model_card, read_record, tuned_provenance

    expected = Expected(params, paths)
    record = read_record(paths.tuned(dataset), expected.tuned(dataset))
    measured = paths.metrics("evaluate", dataset)
    methods = read_json(measured, "Run `dvc repro`", "the metrics of this dataset are missing")
    same = {
        "tuned": tuned_provenance(paths.tuned(dataset)).hash,
        "metrics": metrics_hash(measured),
    }
    table_provenance(paths.rankings(dataset), RANKINGS, expected.rankings(dataset) | same)
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
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as temporary:
            shutil.copytree(tuned, temporary / folder.name, ignore=shutil.ignore_patterns(CARD_NAME))
            (temporary / folder.name / CARD_NAME).write_text(card, encoding="utf-8")
            os.rename(temporary / folder.name, folder)
    print(f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}")
