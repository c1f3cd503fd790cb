"""Files replaced as a whole, their hashes, small JSON files of a cache, and JSON with one spelling."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it and rename it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path, remedy: str, missing: str = "the file is missing") -> dict[str, Any]:
    """Read a file that holds one JSON object in UTF-8.

    Args:
        remedy: what the user can do if there is no such object.
        missing: the error's reason if there is no file.

    Raises:
        UserError: the file is missing, or holds anything else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(missing, remedy, file=path) from None
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, no JSON, an endless number
        raise UserError("the file holds no JSON", remedy, file=path, value=error) from None
    if not isinstance(value, dict):
        raise UserError("the file holds no JSON object", remedy, file=path, value=value)
    return value


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: equal values are equal bytes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(files: list[Path], cache: Path) -> dict[str, str]:
    """File name to sha256. A file of a known path, size and time is not read again: weights take minutes."""
    store = cache / "file_hashes.json"
    known = remembered(store)
    hashes, changed = {}, False
    for path in files:
        stat = path.stat()
        place, stamp = os.path.realpath(path), [stat.st_size, stat.st_mtime_ns]
        entry = known.get(place)
        if entry is None or entry[:2] != stamp:
            entry, changed = [*stamp, sha256_file(path)], True
            known[place] = entry
        hashes[path.name] = entry[2]
    if changed:
        remember(known, store)
    return hashes


def remembered(store: Path) -> dict[str, Any]:
    """The JSON object in a file of the cache folder; {} where it is missing or damaged: it is made anew."""
    try:
        known = json.loads(store.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(known: dict[str, Any], store: Path) -> None:
    """Write what `remembered` reads."""
    with replacing(store) as temporary:
        temporary.write_text(json.dumps(known, indent=0, sort_keys=True))


def identity_hash(identity: dict[str, Any]) -> str:
    """Hex sha256 of an identity."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, plain UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
