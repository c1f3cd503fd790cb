"""Perceptual hash of a picture: copies, smaller or paler, and frames of one video get similar hashes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

_CELLS = 8
_LARGEST = 1024  # pixels of a side; of a larger picture every n-th pixel is looked at


def picture_hash(image: "Image.Image") -> bytes:
    """128 bits (16 bytes): whether brightness rises from each cell of a coarse grid to the next one.

    Empty for a picture with little to see: where half of the neighbouring cells are equally bright, pictures
    of different things would get like hashes.

    The first 64 bits go along the rows of 8 x 9 cells, the others down the columns of 9 x 8 cells, as in the
    "difference hash" of N. Krawetz.
    """
    import numpy as np
    from PIL import Image

    if max(image.size) > _LARGEST:
        size = (min(image.width, _LARGEST), min(image.height, _LARGEST))
        image = image.resize(size, Image.Resampling.NEAREST)
    try:
        grey = image.convert("RGB").convert("L")
    except ValueError:  # Pillow has no way from LAB to RGB; its first channel is the brightness
        grey = image.getchannel(0)
    rows = np.asarray(grey.resize((_CELLS + 1, _CELLS), Image.Resampling.BOX))
    columns = np.asarray(grey.resize((_CELLS, _CELLS + 1), Image.Resampling.BOX))
    steps = np.concatenate(
        [np.diff(rows.astype(np.int16), axis=1).ravel(), np.diff(columns.astype(np.int16), axis=0).ravel()]
    )
    return np.packbits(steps > 0).tobytes() if 2 * np.count_nonzero(steps) > len(steps) else b""
