"""A folder of annotations whose images are only named, and what its kind's reader makes of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.corpus.annotations import Annotations, ImageFile, Kind
from pipeline.corpus.tables import Notes, Rejects

SIZE = (100, 80)
FILES = ("images/a.png", "images/b.png")
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 12345\n"
SHARED = Path(__file__).parents[3].parent / "shared"


@dataclass
class Read:
    """What a reader said: `found` by image id, notes and rejects."""

    found: dict[str, Annotations] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    rejects: Rejects = field(default_factory=Rejects)

    @property
    def counts(self) -> dict[str, int]:
        """The notes that occurred."""
        return {kind: times for kind, times in self.notes.counts.items() if times}

    @property
    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.rejects.rows]

    def boxes(self, image_id: str = "a") -> list[tuple[str, tuple[float, ...]]]:
        """Names and upright boxes of an image, rounded."""
        return [
            (box.name, tuple(round(value, 3) for value in box.bounds))
            for box in self.found[image_id].boxes or []
        ]


def put(folder: Path, files: Mapping[str, Any]) -> None:
    """Write files: bytes and texts as they are, anything else as JSON."""
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(contents, bytes):
            contents = (contents if isinstance(contents, str) else json.dumps(contents)).encode()
        path.write_bytes(contents)


def images(files: Sequence[str] = FILES, size: tuple[int, int] = SIZE) -> dict[str, ImageFile]:
    """Images with the id that an archive gives them: the name in `images/` without its ending."""
    ids = [file.removeprefix("images/").rsplit(".", 1)[0] for file in files]
    return {i: ImageFile(i, file, *size) for i, file in zip(ids, files, strict=True)}


def read(
    kind: Kind,
    folder: Path,
    files: Mapping[str, Any],
    named: Sequence[str] | Mapping[str, ImageFile] = FILES,
) -> Read:
    """What the reader of a kind says of a folder with these files."""
    put(folder, files)
    result = Read()
    usable = named if isinstance(named, Mapping) else images(named)
    for said in kind.read(folder, usable, result.notes, result.rejects):
        assert said.image_id not in result.found, "an image came twice"
        result.found[said.image_id] = said
    "\n".join(result.notes.lines()).encode()
    assert all(row["reason"] and row["remedy"] and row["file"] for row in result.rejects.rows)
    return result
