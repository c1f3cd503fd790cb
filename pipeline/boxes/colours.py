"""Rule: the colour of an object from its pixels, where it is clear. Only where it is asked for.

The colour is the median of the inner half of the outline, channel by channel. It is named after the nearest
of the colours that people name in aerial pictures, by distance in CIELAB. It is not said if

- the second nearest is about as near, or none is near;
- it is a dull colour, nearest to white, grey or black;
- many pixels have another one;
- it looks like its surroundings: the upright box of an airplane holds more ground than airplane.
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.boxes.geometry import Point, bounds

INNER = 0.5  # of the outline, about its centre, is looked at: less of the ground and of shadows
AROUND = 0.25  # of the longer side: how far the surroundings reach
STANDS_OUT = 15.0  # in CIELAB, by which the colour differs from that of the surroundings
FURTHEST = 35.0  # in CIELAB, about 2.3 of which an eye just sees
ALIKE = 15.0  # in CIELAB: pixels that are no further from the median have its colour
MOSTLY = 0.6  # of the pixels have it at least
DULL = 12.0  # chroma in CIELAB: with more, nothing is white, grey or black
MOST_PIXELS = 2000  # looked at, evenly spread, of a large object
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
_ACHROMATIC = ("white", "grey", "black")
_LAB = lab(list(COLOURS.values()))


def colour_name(rgb: npt.ArrayLike) -> str | None:
    """The name of an sRGB colour from 0 to 255, of shape (3,), if one is clear."""
    colour = lab(rgb)
    distances = np.linalg.norm(_LAB - colour, axis=1)
    first, second = np.argsort(distances, kind="stable")[:2]
    if distances[first] > FURTHEST or distances[second] - distances[first] < CLEARLY:
        return None
    dull = _NAMES[first] in _ACHROMATIC and np.hypot(colour[1], colour[2]) > DULL
    return None if dull else _NAMES[first]


def colour_word(image: Image.Image, outline: tuple[Point, ...]) -> str | None:
    """The colour of an object with an outline, in pixels, inside an RGB `image`; None if it is not clear."""
    if len(outline) < 3:
        return None
    x, y, w, h = bounds(outline)
    reach = AROUND * max(w, h)
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    right, bottom = min(image.width, int(x + w + reach) + 1), min(image.height, int(y + h + reach) + 1)
    if right - left < 1 or bottom - top < 1:
        return None
    pixels = np.asarray(image.crop((left, top, right, bottom)))
    inside = [(px - left, py - top) for px, py in outline]
    centre = x + w / 2 - left, y + h / 2 - top
    inner = [(cx + INNER * (px - cx), cy + INNER * (py - cy)) for px, py in inside for cx, cy in [centre]]
    own, others = pixels[_mask(inner, pixels)], pixels[~_mask(inside, pixels)]
    if not len(own):
        return None
    colour = np.median(own, axis=0)
    if len(others) and _distance(colour, np.median(others, axis=0)) < STANDS_OUT:
        return None
    sample = own[:: 1 + len(own) // MOST_PIXELS]
    return colour_name(colour) if np.mean(_distance(sample, colour) <= ALIKE) >= MOSTLY else None


def _distance(a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Distances in CIELAB between sRGB colours, of shape (..., 3)."""
    return np.asarray(np.linalg.norm(lab(a) - lab(b), axis=-1))


def _mask(outline: list[Point], pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which pixels an outline covers."""
    mask = Image.new("1", (pixels.shape[1], pixels.shape[0]))
    ImageDraw.Draw(mask).polygon(outline, fill=1)
    return np.asarray(mask)
