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
from embedded.world.model import CANVAS, Scene, Site
from embedded.world.shapes import Face
from embedded.world.sprites import placed_points, sprite
from embedded.world.vocabulary import OBJECTS, SIZES

_OVERSAMPLING = 2
_SHADOW = 0.52  # share of the light that a shadow takes away


@lru_cache(maxsize=4)
def _background(site: Site, scene: str, size: int) -> Image.Image:
    """The site without objects; the 32 pictures of a family share two."""
    rng = np.random.default_rng([site.seed, 5])
    ground = textured(LOOKS[site.ground], size, rng)
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    image = image.resize((size * _OVERSAMPLING,) * 2, Image.Resampling.NEAREST)
    decorate(image, size * _OVERSAMPLING / CANVAS, scene, rng, site.light)
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
    corners = [placed_points(o.name, o.length, o.angle) + np.array([o.x, o.y]) for o in placed]
    background = _background(scene.site, scene.scene, size)
    background = _shaded(background, placed, corners, scene.site.light, scale)
    image = background.resize((size * _OVERSAMPLING,) * 2, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for item, points in zip(placed, corners, strict=True):
        for face, outline in sprite(item.name).outlines(points * (scale * _OVERSAMPLING)):
            draw.polygon(outline.ravel().tolist(), fill=_colour(face, item, scene.site.light))
    return _exposed(np.asarray(image.reduce(_OVERSAMPLING), np.float32), scene.site)


def _shaded(
    image: Image.Image, placed: list[PlacedObject], corners: list[np.ndarray], light: float, scale: float
) -> Image.Image:
    """The image of the ground with the objects' shadows on it."""
    mask = Image.new("L", image.size, 0)
    draw = ImageDraw.Draw(mask)
    direction = np.array([cos(light), sin(light)])
    for item, points in zip(placed, corners, strict=True):
        height = OBJECTS[item.name].height * SIZES[item.size or "medium"] ** 0.5
        for face, outline in sprite(item.name).outlines(points):
            if face.casts:
                for reach in (0.35, 0.7, 1.0):
                    shadow = (outline + direction * (height * reach)) * scale
                    draw.polygon(shadow.ravel().tolist(), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.9 * scale))
    dark = Image.new("RGB", image.size, (14, 18, 30))
    return Image.composite(dark, image, mask.point([int(v * _SHADOW) for v in range(256)]))


def _colour(face: Face, item: PlacedObject, light: float) -> tuple[int, int, int]:
    shade = face.shade
    if face.facing is not None:  # a roof side turned to the light is brighter
        shade *= 1 - 0.16 * cos(face.facing + item.angle - light)
    r, g, b = face.colour or item.rgb
    return min(255, int(r * shade)), min(255, int(g * shade)), min(255, int(b * shade))


def _exposed(image: np.ndarray, site: Site) -> np.ndarray:
    """Light's strength and warmth, and the sensor's grain."""
    size = image.shape[0]
    gain = site.brightness * np.array([1 + 0.05 * site.warmth, 1.0, 1 - 0.07 * site.warmth], np.float32)
    y, x = site.seed % 499, site.seed // 499 % 499
    grain = noise_tile("grain")[y : y + size, x : x + size, None]
    image *= gain
    image += np.float32(3.0) * grain
    return np.clip(image, 0, 255, out=image).astype(np.uint8)
