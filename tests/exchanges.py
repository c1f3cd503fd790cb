"""Ways to put wrong data into a finished project without damaging a file, and everything that reads data.

Each function changes a copy of a project. What it leaves is valid: only what a file says of itself, or its
rows, no longer fit what the reader expects.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lempo.belonging import belonging
from lempo.captions import Choice, show_captions
from lempo.export import export_tuned
from lempo.sheet import Choice as SheetChoice
from lempo.sheet import write_sheet
from lempo.sheet_drawing import Look
from pipeline.base.errors import UserError
from pipeline.base.paths import Paths
from pipeline.base.provenance import KEY
from pipeline.vision.vlm import load_vlm
from stages import evaluate, tune
from tests.finished import DATASETS, Finished
from trainer.benchmarks import measure
from trainer.study.data import load_study_data
from trainer.study.store import Store

DATASET, OTHER = DATASETS
Reader = Callable[[Finished], object]
Rows = Callable[[pa.Table], pa.Table]


def _check(project: Finished) -> None:
    said = belonging(project.params, project.paths, DATASET)
    if "made again" in said:
        raise UserError(said, "")


def _study(project: Finished) -> None:
    vlm = load_vlm(project.params.vlm, "cpu", project.paths.root)
    Store(project.paths, project.params, vlm.identity)
    load_study_data(project.params, project.paths, DATASET, vlm)


def _benchmark(project: Finished) -> None:
    vlm = load_vlm(project.params.vlm, "cpu", project.paths.root)
    measure.load_tuned(project.params, project.paths.tuned(DATASET), vlm)


READERS: dict[str, Reader] = {
    "pairs": lambda project: project.run("pairs"),
    "interpret": lambda project: project.run("interpret"),
    "caption": lambda project: project.run("caption"),
    "embed": lambda project: project.run("embed"),
    "tune": lambda project: tune.run(project.params, project.paths, DATASET),
    "evaluate": lambda project: evaluate.run(project.params, project.paths, DATASET),
    "report": lambda project: project.run("report"),
    "captions of interpret": lambda project: show_captions(
        project.params, project.paths, DATASET, "interpret", Choice(limit=3)
    ),
    "captions of caption": lambda project: show_captions(
        project.params, project.paths, DATASET, "caption", Choice(limit=3)
    ),
    "check": _check,
    "export": lambda project: export_tuned(
        project.params, project.paths, DATASET, project.paths.root / "hub"
    ),
    "sheet": lambda project: write_sheet(
        project.params, project.paths, DATASET, SheetChoice(), Look(), project.paths.root / "sheet.png"
    ),
    "study": _study,
    "benchmark": _benchmark,
}

FILES: dict[str, Callable[[Paths, str], Path]] = {
    "images": Paths.images,
    "scene_graphs": Paths.scene_graphs,
    "queries": Paths.queries,
    "captions": Paths.captions,
    "pairs": Paths.pairs,
    "interpretations": Paths.interpretations,
    "pseudo_captions": Paths.pseudo_captions,
    "features": Paths.features,
    "tuned": Paths.tuned,
    "rankings": Paths.rankings,
    "rejects": lambda paths, _: paths.rejects,
}
_TUNERS = ("tune", "evaluate", "study", "export", "report", "sheet", "check")
_ALL = tuple(name for name in READERS if name != "benchmark")
# who must refuse a file of another project, which its metadata gives away
HELD_BY: dict[str, tuple[str, ...]] = {
    "images": _ALL,
    "scene_graphs": _ALL,
    "queries": _ALL,
    "captions": _ALL,
    "pairs": (*_TUNERS, "caption", "captions of caption"),
    "interpretations": (*_TUNERS, "captions of interpret"),
    "pseudo_captions": (*_TUNERS, "captions of caption"),
    "features": _TUNERS,
    "tuned": ("evaluate", "export", "check"),
    "rankings": ("report", "sheet", "export", "check"),
    "rejects": ("report",),
}
# who reads the rows, so that changed rows must be refused as well
READ_BY: dict[str, tuple[str, ...]] = {
    "images": ("embed", "tune", "evaluate", "study", "report", "sheet", "check"),
    "scene_graphs": ("interpret", "caption", "study", "captions of interpret", "check"),
    "captions": ("interpret", "caption", "check"),
    "queries": ("pairs", "check"),
    "pairs": ("caption", "tune", "evaluate", "study", "report", "sheet", "captions of caption", "check"),
    "interpretations": ("tune", "evaluate", "study", "report", "captions of interpret", "check"),
    "pseudo_captions": ("tune", "evaluate", "study", "report", "sheet", "captions of caption", "check"),
    "features": ("tune", "evaluate", "study", "check"),
    "tuned": ("evaluate", "export", "benchmark", "check"),
    "rankings": ("report", "sheet", "check"),
    "rejects": ("report",),
}


def swap(project: Finished, of: Paths, name: str, dataset: str = DATASET) -> None:
    """Put a file or folder of another project, or of another dataset, in the place of the project's own."""
    mine, other = FILES[name](project.paths, DATASET), FILES[name](of, dataset)
    if other.is_dir():
        shutil.rmtree(mine)
        shutil.copytree(other, mine)
    else:
        shutil.copyfile(other, mine)


def change_rows(file: Path, change: Rows) -> None:
    """Write a table again with other rows and the metadata that it had."""
    said = {KEY: pq.read_metadata(file).metadata[KEY.encode()]}
    pq.write_table(change(pq.read_table(file)).replace_schema_metadata(said), file, compression="zstd")


def halve(table: pa.Table) -> pa.Table:
    return table.slice(0, table.num_rows // 2)


def shuffle(table: pa.Table) -> pa.Table:
    return table.take(pa.array(reversed(range(table.num_rows)), pa.int64()))


def shift(column: str) -> Rows:
    """Every row gets the value of the row before it."""

    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        return _replaced(table, column, [*values[-1:], *values[:-1]])

    return change


def edit(column: str, row: int = -1) -> Rows:
    """One cell gets another value."""

    def change(table: pa.Table) -> pa.Table:
        values = table[column].to_pylist()
        if values:
            values[row] = _another(values[row], table.schema.field(column).type)
        return _replaced(table, column, values)

    return change


def forget(file: Path) -> None:
    """Write a table without what it says of itself, as another tool would."""
    pq.write_table(pq.read_table(file).replace_schema_metadata(None), file)


def _replaced(table: pa.Table, column: str, values: list) -> pa.Table:
    place = table.schema.get_field_index(column)
    field = table.schema.field(place)
    return table.set_column(place, field, pa.array(values, field.type))


def _another(value: Any, kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return value[1:] if value else []
    if pa.types.is_boolean(kind):
        return not value
    if pa.types.is_struct(kind):
        return {part.name: _another((value or {}).get(part.name), part.type) for part in kind}
    return f"{value}x" if pa.types.is_string(kind) else (value or 0) + 1


def change_vectors(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write the vectors again; shape and dtype stay."""
    file = folder / "vectors.npy"
    vectors = np.load(file)
    np.save(file, change(vectors).astype(vectors.dtype))


def edit_json(file: Path, change: Callable[[dict], None]) -> None:
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
