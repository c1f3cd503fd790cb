"""YAML files that people write: read as a whole and checked against a model; an error is one clear line."""

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.base.errors import UserError, perhaps

Model = TypeVar("Model", bound=BaseModel)

_REASONS = {
    "extra_forbidden": ("the key is unknown", "Remove it, or correct its spelling"),
    "missing": ("the key is missing", "Add it"),
    "tuple_type": ("the value is not a list", "Write a list, as in [airplane, tennis]"),
    "too_short": ("the list is empty", "Name at least one"),
}


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error; YAML itself would take the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: list[Any] = []  # no set: a key of YAML need not be hashable
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)  # type: ignore[no-untyped-call]
            if name in names:
                reason = f"the key {name!r} stands twice"
                raise yaml.MarkedYAMLError(problem=reason, problem_mark=key.start_mark)
            names.append(name)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, missing: str, keys: str) -> dict[str, Any]:
    """The keys and values of a file.

    Args:
        missing: the remedy if there is no file.
        keys: the remedy if the file holds no keys; it says which keys are allowed.

    Raises:
        UserError: the file is missing, cannot be read, is not YAML, or holds no keys.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would block for ever
            raise OSError(0, "it is no regular file")
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except FileNotFoundError:
        raise UserError("there is no such file", missing, file=path) from None
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        raise UserError(reason, "Put a readable file there", file=path) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())[:100]
        if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark) is not None:
            problem = f"{error.problem} at line {mark.line + 1}, column {mark.column + 1}"
        raise UserError(f"the file is not YAML: {problem}", "Correct it", file=path) from None
    if not isinstance(raw, dict):
        raise UserError("the file holds no keys", keys, file=path)
    return raw


def validated(
    model: type[Model], values: dict[str, Any], path: Path, allowed: str, strict: bool = False
) -> Model:
    """The values as a pydantic model.

    Args:
        path: the file they come from.
        allowed: the end of the remedy; it says where the allowed keys and values are listed.
        strict: whether a text is refused where a number belongs, even if it looks like one.

    Raises:
        UserError: names the first key that is unknown, missing or has an impossible value.
    """
    try:
        return model.model_validate(values, strict=strict or None)
    except ValidationError as error:
        # a misspelt key is unknown, and its right spelling missing: the unknown key tells more
        first = min(error.errors(), key=lambda details: details["type"] != "extra_forbidden")
    field = ".".join(map(str, first["loc"])) or None
    message = first["msg"].removeprefix("Value error, ").splitlines()[0]
    reason, remedy = _REASONS.get(first["type"], (message, "Correct the value"))
    if first["type"] == "extra_forbidden":
        *section, name = first["loc"]
        remedy = _meant(model, section, str(name)) + remedy
    value = None if first["type"] == "missing" else first["input"]
    if isinstance(value, dict | list | tuple):  # aliases can make a small file a text without end
        value = reprlib.repr(value)
    raise UserError(reason, f"{remedy}; {allowed}", file=path, field=field, value=value)


def _meant(model: type[BaseModel], section: Sequence[int | str], name: str) -> str:
    """Which key an unknown one may mean: one that is like it in its section, or the same in another."""
    here: list[str] = []
    elsewhere: list[str] = []
    waiting: list[tuple[tuple[str, ...], Any]] = [((), model)]
    while waiting:
        place, kind = waiting.pop(0)
        for known, info in getattr(kind, "model_fields", {}).items():
            waiting.append(((*place, known), info.annotation))
            if place == tuple(map(str, section)):
                here.append(known)
            elif known == name:
                elsewhere.append(f"'{'.'.join((*place, known))}'")
    return perhaps(name, here) or (f"Did you mean {' or '.join(elsewhere)}? " if elsewhere else "")
