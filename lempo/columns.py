"""`python -m lempo.columns`: writes the reference of all columns and keys into docs/tables.md.

It is made from the schemas that stand beside the code that writes the files.
"""

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa
from tabulate import tabulate

from pipeline.base.expected import MANIFEST_NAME, RECORD_NAME
from pipeline.base.files import replacing
from pipeline.base.paths import Paths
from pipeline.base.schemas import TABLES
from pipeline.vision.features import IDS_NAME, MANIFEST
from stages import evaluate
from trainer.study.columns import COLUMNS
from trainer.tuning import result
from trainer.tuning.record import RECORD

PAGE = Path("docs/tables.md")
_START = "<!-- written by `python -m lempo.columns` -->"
_HEADERS = ("type", "meaning", "unit", "null", "example")
CURVES = (result.CURVE, evaluate.curve(), COLUMNS)
MANIFESTS = (MANIFEST, RECORD)
DESCRIBED = (*TABLES, *CURVES, *MANIFESTS)
_FILES: dict[str, Callable[[Paths, str], Path]] = {
    "images": Paths.images,
    "scene_graphs": Paths.scene_graphs,
    "queries": Paths.queries,
    "brought_captions": Paths.captions,
    "rejects": lambda paths, _: paths.rejects,
    "pairs": Paths.pairs,
    "dropped": lambda paths, _: paths.dropped,
    "interpretations": Paths.interpretations,
    "pseudo_captions": Paths.pseudo_captions,
    "feature_ids": lambda paths, dataset: paths.features(dataset) / IDS_NAME,
    "rankings": Paths.rankings,
    "tuning_curve": lambda paths, dataset: paths.plots("tune", dataset),
    "recall_curves": lambda paths, dataset: paths.plots("evaluate", dataset),
    "study_figures": lambda paths, _: paths.root / "study/results.csv",
    "manifest": lambda paths, dataset: paths.features(dataset) / MANIFEST_NAME,
    "tuned": lambda paths, dataset: paths.tuned(dataset) / RECORD_NAME,
}


def reference() -> str:
    """A section of Markdown for each kind of file: what it holds, and every column or key."""
    return "\n\n".join(map(_section, DESCRIBED)) + "\n"


def with_reference(page: str) -> str:
    """The page with the reference below its mark.

    Raises:
        ValueError: the page has no mark, or several.
    """
    head, _ = page.split(_START)
    return f"{head}{_START}\n\n{reference()}"


def file_of(kind: str, paths: Paths, dataset: str) -> Path:
    """A file of a dataset, by the kind that its schema names."""
    return _FILES[kind](paths, dataset)


def _section(schema: pa.Schema) -> str:
    said = (schema.metadata[key].decode() for key in (b"kind", b"stage", b"keys", b"meaning"))
    kind, stage, keys, meaning = said
    file = file_of(kind, Paths(), "<dataset>")
    by = "`lempo study`" if stage == "study" else f"the stage `{stage}`"
    text = f"{meaning} Written by {by}."
    if keys:
        text += f" Rows are sorted by {', '.join(f'`{key}`' for key in keys.split(','))}."
    rows = [row for name, field in _folded(schema) for row in _rows(field, name, file.suffix)]
    headers = ("key" if file.suffix == ".json" else "column", *_HEADERS)
    table = tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)
    compact = re.sub(r" {2,}\|", " |", re.sub(r":?-{3,}", "---", table))
    return f"### `{file}`\n\n{text}\n\n{compact}"


def _folded(schema: pa.Schema) -> Iterator[tuple[str, pa.Field]]:
    """Each column and its name; neighbours that say the same are one column with all their names."""
    for _, group in groupby(schema, lambda field: (field.type, field.metadata)):
        fields = list(group)
        yield ", ".join(f"`{field.name}`" for field in fields), fields[0]


def _rows(field: pa.Field, name: str, suffix: str) -> Iterator[list[str]]:
    """The row of a column, and below it those of the parts of its type."""
    said = {key.decode(): value.decode() for key, value in field.metadata.items()}
    example, kind = said.get("example", ""), field.type
    shown = _type(kind, "object" if suffix == ".json" else "struct")
    yield [
        name,
        shown,
        said["meaning"],
        said.get("unit", ""),
        said.get("null", "never"),
        example and f"`{example}`",
    ]
    of = name.strip("`")
    if pa.types.is_list(kind):
        of, kind = f"{of}[]", kind.value_type
    if pa.types.is_struct(kind):
        for part in kind:
            yield from _rows(part, f"`{of}.{part.name}`", suffix)


def _type(kind: pa.DataType, struct: str) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type, struct)}"
    return struct if pa.types.is_struct(kind) else str(kind)


if __name__ == "__main__":
    text = with_reference(PAGE.read_text(encoding="utf-8"))
    with replacing(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
