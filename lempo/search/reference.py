"""The image that a query starts from: one of the index, or a file that may be one of it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from lempo.search.database import VECTOR, Database
from lempo.search.encoder import Encoder
from pipeline.base.errors import UserError


@dataclass(frozen=True)
class Reference:
    """The reference of a query.

    Attributes:
        feature: (D,), L2-normalised, float32.
        image_id: its id, where it is in the index.
        same: ids of all images of the index that are this one.
        size: width and height in pixels.
    """

    feature: torch.Tensor
    image_id: str | None
    same: frozenset[str]
    size: tuple[int, int] | None


def reference_of(
    image: Path | bytes | None, image_id: str | None, database: Database, encoder: Encoder
) -> Reference | None:
    """The reference; an image whose bytes the index knows is not embedded again.

    Raises:
        UserError: the index has no such image, or the file is missing or no usable image.
    """
    if image_id is not None:
        row = row_of(database, image_id)
        return Reference(_feature(row), image_id, frozenset({image_id}), _size(row))
    if image is None:
        return None
    named = str(image) if isinstance(image, Path) else None
    data = _read(image) if isinstance(image, Path) else image
    same = list(database.rows("sha256", [hashlib.sha256(data).hexdigest()]))
    if same:
        ids = sorted(row["image_id"] for row in same)
        return Reference(_feature(same[0]), ids[0], frozenset(ids), _size(same[0]))
    feature, size = encoder.image(data, named)
    return Reference(feature, None, frozenset(), size)


def row_of(database: Database, image_id: str) -> dict[str, Any]:
    """The row of an image.

    Raises:
        UserError: the index has no such image.
    """
    for row in database.rows("image_id", [image_id]):
        return row
    remedy = "Use the id of an image of the index, or give its file by --image"
    raise UserError("the index has no such image", remedy, field="id", value=image_id)


def _read(file: Path) -> bytes:
    if file.exists() and not file.is_file():  # a pipe would block for ever
        raise UserError("the reference is no regular file", "Name an image file", file=file)
    try:
        return file.read_bytes()
    except OSError as error:
        reason = f"the reference cannot be read: {error.strerror}"
        raise UserError(reason, "Correct its path", file=file) from None


def _feature(row: Mapping[str, Any]) -> torch.Tensor:
    return normalize(torch.tensor(row[VECTOR], dtype=torch.float32), dim=-1)


def _size(row: Mapping[str, Any]) -> tuple[int, int] | None:
    return (row["width"], row["height"]) if row["width"] and row["height"] else None
