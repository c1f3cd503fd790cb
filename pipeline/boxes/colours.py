"""Rule: the colour of an object from its pixels, where it is clear. Only where it is asked for.

The colour is the median of the inner half of the outline, channel by channel. It is named after the nearest
of the colours that people name in aerial pictures, by distance in CIELAB, unless the second nearest is about
as near, or none is.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.boxes.geometry import Point, bounds

INNER = 0.5  # of the outline, about its centre, is looked at: less of the ground and of shadows
FURTHEST = 35.0  # in CIELAB, about 2.3 of which an eye just sees
CLEARLY = 8.0  # by which the second colour must be further than the first one

COLOURS = {
    "white": (240, 240, 240), "grey": (125, 125, 125), "black": (25, 25, 25), "red": (185, 45, 40),
    "orange": (225, 130, 45), "brown": (110, 75, 50), "yellow": (230, 210, 70), "green": (65, 115, 60),
    "blue": (45, 90, 165), "beige": (205, 185, 150),
}  # fmt: skip

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_D65 = np.array([0.95047, 1.0, 1.08883])


def lab(rgb: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """sRGB values from 0 to 255, of shape (..., 3), in CIELAB under D65.

    By IEC 61966-2-1 (sRGB to XYZ) and CIE 15:2004 (XYZ to L*a*b*).
    """
    values = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    relative = linear @ _TO_XYZ.T / _D65
    f = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


_NAMES = tuple(COLOURS)
_LAB = lab(list(COLOURS.values()))


def colour_name(rgb: npt.ArrayLike) -> str | None:
    """The name of an sRGB colour from 0 to 255, of shape (3,), if one is clear."""
    distances = np.linalg.norm(_LAB - lab(rgb), axis=1)
    first, second = np.argsort(distances, kind="stable")[:2]
    if distances[first] > FURTHEST or distances[second] - distances[first] < CLEARLY:
        return None
    return _NAMES[first]


def colour_word(image: Image.Image, outline: tuple[Point, ...]) -> str | None:
    """The colour of an object with an outline, in pixels, inside an RGB `image`; None if it is not clear."""
    x, y, w, h = bounds(outline)
    centre = x + w / 2, y + h / 2
    inner = [tuple(c + INNER * (p - c) for p, c in zip(point, centre, strict=True)) for point in outline]
    left, top = int(min(p[0] for p in inner)), int(min(p[1] for p in inner))
    right = min(image.width, max(left + 1, round(max(p[0] for p in inner))))
    bottom = min(image.height, max(top + 1, round(max(p[1] for p in inner))))
    pixels = np.asarray(image.crop((left, top, right, bottom)))
    mask = Image.new("1", (right - left, bottom - top))
    ImageDraw.Draw(mask).polygon([(px - left, py - top) for px, py in inner], fill=1)
    chosen = pixels[np.asarray(mask)]
    return colour_name(np.median(chosen, axis=0)) if len(chosen) else None
