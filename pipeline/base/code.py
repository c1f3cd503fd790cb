"""A hash of source code: what results are named by where the code that makes them may change."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

SOURCE_ROOT = Path(__file__).parents[2]
_SOURCES = frozenset({".py", ".yaml", ".txt", ".jinja", ".html"})


def code_hash(*rooms: str, root: Path = SOURCE_ROOT) -> str:
    """Hex sha256 of the names and bytes of all source files in some rooms.

    Args:
        rooms: folders, taken whole, or single files; relative to `root`, as `dvc.yaml` writes them.
        root: of the source tree.

    Raises:
        ValueError: there is no such room.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        for file in _files(root / room):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(room: Path) -> Iterator[Path]:
    if room.is_file():
        yield room
    elif room.is_dir():
        yield from sorted(path for path in room.rglob("*") if path.suffix in _SOURCES and path.is_file())
    else:
        raise ValueError(f"there is no room {room}")
