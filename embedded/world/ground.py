"""Ground textures: mixes of cached noise, one look for each kind of ground."""

from dataclasses import dataclass
from functools import cache

import numpy as np

_TILE = 512


@dataclass(frozen=True)
class Look:
    """Two colours mixed by patchy noise, plus grain; `lines` is the pitch of joints or rows in pixels."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]
    patch: float  # how much of the mix is patches
    grain: float  # amplitude of fine noise, in grey levels
    lines: float = 0.0
    line_strength: float = 0.0
    joints: bool = False  # lines both ways, as between slabs; otherwise soft rows


LOOKS: dict[str, Look] = {
    "concrete": Look((150, 148, 142), (176, 174, 167), 0.8, 6, 42, 14, True),
    "pale slabs": Look((186, 181, 168), (206, 202, 190), 0.7, 5, 30, 16, True),
    "asphalt": Look((84, 86, 90), (106, 107, 110), 0.9, 8),
    "paving": Look((168, 146, 128), (188, 166, 146), 0.6, 7, 16, 9, True),
    "grass": Look((84, 104, 56), (116, 130, 70), 1.0, 13),
    "mown grass": Look((94, 122, 66), (108, 134, 76), 0.5, 9, 26, 9),
    "lawn": Look((88, 118, 62), (112, 140, 78), 0.8, 10),
    "meadow": Look((118, 128, 70), (160, 150, 86), 1.1, 15),
    "dry grass": Look((162, 146, 94), (188, 172, 116), 1.0, 13),
    "sand": Look((206, 186, 144), (222, 206, 168), 0.8, 8),
    "soil": Look((122, 94, 70), (148, 118, 90), 1.0, 12),
    "clay": Look((176, 124, 94), (192, 142, 110), 0.7, 8),
    "gravel": Look((138, 130, 122), (160, 152, 144), 0.7, 18),
    "green crop": Look((92, 116, 54), (112, 134, 64), 0.6, 9, 9, 15),
    "stubble": Look((178, 156, 104), (198, 178, 124), 0.7, 10, 11, 13),
}


@cache
def noise_tile(kind: str) -> np.ndarray:
    """A tileable noise field (1024, 1024), mean 0, standard deviation 1: patch, mottle or grain."""
    exponent, seed = {"patch": (1.9, 3), "mottle": (1.1, 5), "grain": (0.35, 7)}[kind]
    rng = np.random.Generator(np.random.PCG64(seed))
    spectrum = np.fft.rfft2(rng.standard_normal((_TILE, _TILE)))
    fy, fx = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)[None, :]
    radius = np.hypot(fy, fx)
    radius[0, 0] = 1.0
    spectrum *= radius**-exponent
    spectrum[radius < 3 / _TILE] = 0
    field = np.fft.irfft2(spectrum, s=(_TILE, _TILE))
    field = ((field - field.mean()) / field.std()).astype(np.float32)
    return np.tile(field, (2, 2))


def noise(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random window (size, size) of a noise field, flipped at random; a view."""
    y, x = rng.integers(_TILE, size=2)
    window = noise_tile(kind)[y : y + size, x : x + size]
    flips = int(rng.integers(8))
    if flips & 1:
        window = window[::-1]
    if flips & 2:
        window = window[:, ::-1]
    return window.T if flips & 4 else window


def textured(look: Look, size: int, rng: np.random.Generator) -> np.ndarray:
    """Ground of one look, (size, size, 3) float32 in grey levels."""
    shift = rng.uniform(-6, 6, 3).astype(np.float32) + np.float32(rng.uniform(-10, 10))
    low, high = np.array(look.low, np.float32) + shift, np.array(look.high, np.float32) + shift
    mix = 0.5 + look.patch * (0.38 * noise("patch", size, rng) + 0.16 * noise("mottle", size, rng))
    flat = look.grain * noise("grain", size, rng)
    if look.lines:
        flat = flat + look.line_strength * _lines(look, size, float(rng.uniform(0, np.pi)), rng)
    ground = low + np.clip(mix, -0.3, 1.3)[..., None] * (high - low)
    return ground + flat[..., None]


def _lines(look: Look, size: int, angle: float, rng: np.random.Generator) -> np.ndarray:
    axis = np.arange(size, dtype=np.float32)
    u = np.float32(np.cos(angle)) * axis[None, :] + np.float32(np.sin(angle)) * axis[:, None]
    start = float(rng.uniform(0, look.lines))
    if not look.joints:
        return np.sin((u + start) * np.float32(2 * np.pi / look.lines))
    v = np.float32(np.cos(angle)) * axis[:, None] - np.float32(np.sin(angle)) * axis[None, :]
    joint = ((u + start) % look.lines < 1.2) | ((v + start) % look.lines < 1.2)
    return -joint.astype(np.float32)
