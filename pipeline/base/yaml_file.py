"""YAML files that people write: read whole and checked against a model; what is wrong is one clear line."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.base.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

_REASONS = {
    "extra_forbidden": ("the key is unknown", "Remove it, or correct its spelling"),
    "missing": ("the key is missing", "Add it"),
    "tuple_type": ("the value is no list", "Write a list, as in [airplane, tennis]"),
    "too_short": ("the list is empty", "Name at least one"),
}


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: list[Any] = []
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)  # type: ignore[no-untyped-call]
            if name in names:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {name!r} stands twice", problem_mark=key.start_mark
                )
            names.append(name)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, missing: str, keys: str) -> dict[str, Any]:
    """The keys and values of a file.

    Args:
        missing: the remedy where there is no file.
        keys: the remedy where the file holds no keys; it says which there are.

    Raises:
        UserError: the file is missing, cannot be read, is no YAML, or holds no keys.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise OSError(0, "it is no regular file")
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise UserError("there is no such file", missing, file=path) from None
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        raise UserError(reason, "Put a readable file there", file=path) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        raise UserError(
            f"the file is no YAML: {error.problem}{place}", "Correct it there", file=path
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:100]
        raise UserError(f"the file is no YAML: {why}", "Correct it", file=path) from None
    if not isinstance(raw, dict):
        raise UserError("the file holds no keys", keys, file=path)
    return raw


def validated(
    model: type[Model], values: dict[str, Any], path: Path, allowed: str, strict: bool = False
) -> Model:
    """The values as a model of pydantic's.

    Args:
        path: the file they come from.
        allowed: says where the allowed keys and values are listed; part of most remedies.
        strict: whether a text that looks like a number is refused where a number belongs.

    Raises:
        UserError: names the first key that is unknown, missing or has an impossible value.
    """
    try:
        return model.model_validate(values, strict=strict or None)
    except ValidationError as error:
        # a misspelt key is both unknown and missing: the unknown one tells more
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
    field = ".".join(str(part) for part in first["loc"]) or None
    message = first["msg"].removeprefix("Value error, ").splitlines()[0]
    reason, remedy = _REASONS.get(first["type"], (message, "Correct the value"))
    value = None if first["type"] == "missing" else first["input"]
    raise UserError(reason, f"{remedy}; {allowed}", file=path, field=field, value=value)
