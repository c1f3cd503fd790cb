"""`python -m lempo.columns`: writes the reference of all columns into docs/tables.md, from the schemas."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
from tabulate import tabulate

from pipeline.base.files import replacing
from pipeline.base.paths import Paths
from pipeline.base.schemas import TABLES
from pipeline.vision.features import IDS_NAME

PAGE = Path("docs/tables.md")
_START = "<!-- written by `python -m lempo.columns` -->"
_HEADERS = ("column", "type", "meaning", "unit", "null", "example")
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
}


def reference() -> str:
    """A section of Markdown for each table: its file, what it holds, and every column."""
    return "\n\n".join(map(_section, TABLES)) + "\n"


def with_reference(page: str) -> str:
    """The page with the reference below its mark.

    Raises:
        ValueError: the page has no mark, or several.
    """
    head, _ = page.split(_START)
    return f"{head}{_START}\n\n{reference()}"


def file_of(kind: str, paths: Paths, dataset: str) -> Path:
    """The file of a dataset's table, by the kind that its schema names."""
    return _FILES[kind](paths, dataset)


def _section(schema: pa.Schema) -> str:
    said = (schema.metadata[key].decode() for key in (b"kind", b"stage", b"keys", b"meaning"))
    kind, stage, keys, meaning = said
    keys = ", ".join(f"`{key}`" for key in keys.split(","))
    text = f"{meaning} Written by the stage `{stage}`. Rows are sorted by {keys}."
    rows = [row for field in schema for row in _rows(field, "")]
    table = tabulate(rows, _HEADERS, tablefmt="pipe", disable_numparse=True)
    compact = re.sub(r" {2,}\|", " |", re.sub(r":?-{3,}", "---", table))
    return f"### `{file_of(kind, Paths(), '<dataset>')}`\n\n{text}\n\n{compact}"


def _rows(field: pa.Field, of: str) -> Iterator[list[str]]:
    """The row of a column, and below it those of the parts of its type."""
    said = {key.decode(): value.decode() for key, value in field.metadata.items()}
    example = said.get("example", "")
    name, kind = f"{of}{field.name}", field.type
    null = said.get("null", "never")
    yield [f"`{name}`", _type(kind), said["meaning"], said.get("unit", ""), null, example and f"`{example}`"]
    if pa.types.is_list(kind):
        name, kind = f"{name}[]", kind.value_type
    if pa.types.is_struct(kind):
        for part in kind:
            yield from _rows(part, f"{name}.")


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)


if __name__ == "__main__":
    text = with_reference(PAGE.read_text(encoding="utf-8"))
    with replacing(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")
