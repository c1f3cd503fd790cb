"""Columns that say in their field's metadata what they mean.

A schema of them stands beside the code that writes the file. The writer takes its columns from it, and
`python -m lempo.columns` the reference in docs/tables.md.
"""

import json
from typing import Any

import pyarrow as pa

OBJECT = pa.struct([])  # a JSON object whose keys are not the same in all files


def column(
    name: str, kind: pa.DataType, meaning: str, example: Any = None, *, unit: str = "", null: str = ""
) -> pa.Field:
    """A column; its field's metadata holds the other arguments.

    Args:
        example: a value of it, in the metadata as JSON; None where the parts of its type have their own.
        null: what it means that there is no value; without it there always is one.
    """
    said = {"meaning": meaning, "unit": unit, "null": null}
    said["example"] = "" if example is None else json.dumps(example, ensure_ascii=False)
    return pa.field(name, kind, bool(null), {key: value for key, value in said.items() if value})


def part(name: str, kind: pa.DataType, meaning: str, example: Any = None, **others: str) -> pa.Field:
    """A part of a column's type: nothing checks whether there is a value."""
    return column(name, kind, meaning, example, **others).with_nullable(True)


def described(kind: str, stage: str, keys: str, meaning: str, *fields: pa.Field) -> pa.Schema:
    """The columns of a table, or the keys of a JSON file.

    Args:
        kind: names what the file holds.
        stage: writes it.
        keys: give the order of its rows; empty where no columns do.
    """
    return pa.schema(list(fields), {"kind": kind, "stage": stage, "keys": keys, "meaning": meaning})
