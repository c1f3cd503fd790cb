"""Whether a JSON file holds what its schema says of it."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from pipeline.base.described import OBJECT


def disagreements(fields: Iterable[pa.Field], value: Mapping[str, Any], of: str = "") -> set[str]:
    """What is written and not described, or described and not written; empty where all is right.

    Args:
        fields: of a schema, or of an object in it.
        value: what was written.
    """
    fields = list(fields)
    found = {f"{of}{name} is not described" for name in value.keys() - {field.name for field in fields}}
    for field in fields:
        name, one = f"{of}{field.name}", value.get(field.name)
        if one is None:
            found |= set() if b"null" in field.metadata else {f"{name} is null"}
        elif field.type == OBJECT:
            found |= set() if isinstance(one, dict) else {f"{name} is no object"}
        elif pa.types.is_struct(field.type):
            found |= disagreements(field.type, one, f"{name}.")
        elif pa.scalar(one).type != field.type:
            found.add(f"{name} is {pa.scalar(one).type}, not {field.type}")
    return found
