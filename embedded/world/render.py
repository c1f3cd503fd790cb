"""Pictures of scenes, as a nadir camera would take them: ground, decoration, shadows, objects, light, grain.

A picture depends on its scene alone; the same scene gives the same bytes in any process.
"""

from functools import lru_cache
from math import cos, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from embedded.world.decoration import decorate
from embedded.world.ground import LOOKS, noise_tile, textured
from embedded.world.layout import PlacedObject, layout
from embedded.world.model import CANVAS, Place, Scene
from embedded.world.shapes import Part
from embedded.world.sprites import placed_points, sprite
from embedded.world.vocabulary import OBJECTS, SIZES

_OVERSAMPLING = 2
_SHADOW = 0.52  # share of the light that a shadow takes away


@lru_cache(maxsize=4)
def _site(place: Place, scene: str, size: int) -> Image.Image:
    """The place without objects; 32 pictures of a family share two."""
    rng = np.random.default_rng([place.seed, 5])
    ground = textured(LOOKS[place.ground], size, rng)
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    image = image.resize((size * _OVERSAMPLING,) * 2, Image.Resampling.NEAREST)
    decorate(image, size * _OVERSAMPLING / CANVAS, scene, rng, place.light)
    image = image.reduce(_OVERSAMPLING)
    # the decoration is painted flat: give it the ground's grain as well
    flat = np.asarray(image, np.float32) + 4.5 * noise_tile("mottle")[:size, :size, None]
    return Image.fromarray(np.clip(flat, 0, 255).astype(np.uint8))


def render(scene: Scene, size: int = 256) -> np.ndarray:
    """The picture of a scene.

    Returns:
        (size, size, 3) uint8.
    """
    scale = size / CANVAS
    placed = layout(scene)
    corners = [placed_points(one.name, one.length, one.angle) + np.array([one.x, one.y]) for one in placed]
    site = _shaded(_site(scene.place, scene.scene, size), placed, corners, scene.place.light, scale)
    image = site.resize((size * _OVERSAMPLING,) * 2, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for one, points in zip(placed, corners, strict=True):
        _draw(draw, one, (points * (scale * _OVERSAMPLING)), scene.place.light)
    return _exposed(np.asarray(image.reduce(_OVERSAMPLING), np.float32), scene.place)


def _shaded(
    site: Image.Image, placed: list[PlacedObject], corners: list[np.ndarray], light: float, scale: float
) -> Image.Image:
    """The site with the objects' shadows on it."""
    mask = Image.new("L", site.size, 0)
    draw = ImageDraw.Draw(mask)
    direction = np.array([cos(light), sin(light)])
    for one, points in zip(placed, corners, strict=True):
        kind = sprite(one.name)
        height = OBJECTS[one.name].height * SIZES[one.size or "medium"] ** 0.5
        for part, (start, stop) in zip(kind.parts, kind.spans, strict=True):
            if part.casts:
                for reach in (0.35, 0.7, 1.0):
                    shadow = (points[start:stop] + direction * (height * reach)) * scale
                    draw.polygon(shadow.ravel().tolist(), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.9 * scale))
    dark = Image.new("RGB", site.size, (14, 18, 30))
    return Image.composite(dark, site, mask.point([int(v * _SHADOW) for v in range(256)]))


def _draw(draw: ImageDraw.ImageDraw, one: PlacedObject, points: np.ndarray, light: float) -> None:
    kind = sprite(one.name)
    for part, (start, stop) in zip(kind.parts, kind.spans, strict=True):
        draw.polygon(points[start:stop].ravel().tolist(), fill=_colour(part, one, light))


def _colour(part: Part, one: PlacedObject, light: float) -> tuple[int, int, int]:
    shade = part.shade
    if part.facing is not None:  # a roof side turned to the light is brighter
        shade *= 1 - 0.16 * cos(part.facing + one.angle - light)
    r, g, b = part.colour or one.rgb
    return min(255, int(r * shade)), min(255, int(g * shade)), min(255, int(b * shade))


def _exposed(image: np.ndarray, place: Place) -> np.ndarray:
    """Light's strength and warmth, and the sensor's grain."""
    size = image.shape[0]
    gain = place.brightness * np.array([1 + 0.05 * place.warmth, 1.0, 1 - 0.07 * place.warmth], np.float32)
    y, x = place.seed % 499, place.seed // 499 % 499
    grain = noise_tile("grain")[y : y + size, x : x + size, None]
    image *= gain
    image += np.float32(3.0) * grain
    return np.clip(image, 0, 255, out=image).astype(np.uint8)
