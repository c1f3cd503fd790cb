"""A hash of source code. It names results that must be computed again when their code changes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

SOURCE_ROOT = Path(__file__).parents[2]
SOURCES = frozenset({".css", ".html", ".jinja", ".js", ".json", ".py", ".svg", ".txt", ".yaml"})


def code_hash(*rooms: str, root: Path = SOURCE_ROOT) -> str:
    """Hex sha256 of the names and bytes of all source files in some rooms.

    Hidden files and folders do not count: editors and tools keep their own copies there.

    Args:
        rooms: folders, taken whole, or single files; relative to `root`, as `dvc.yaml` writes them.
        root: the folder of the source tree.

    Raises:
        ValueError: there is no such room.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        for name in _files(root, room):
            digest.update(name.encode() + b"\0" + (root / name).read_bytes() + b"\0")
    return digest.hexdigest()


def _files(root: Path, room: str) -> Iterator[str]:
    """Names of a room's source files, relative to `root`, sorted."""
    if (root / room).is_file():
        yield room
    elif (root / room).is_dir():
        for path in sorted((root / room).rglob("*")):
            name = path.relative_to(root)
            hidden = any(part.startswith(".") for part in name.parts)
            if path.suffix in SOURCES and path.is_file() and not hidden:
                yield name.as_posix()
    else:
        raise ValueError(f"there is no room {root / room}")
