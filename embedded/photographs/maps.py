"""Pixels of views, and what the frozen part of the image tower makes of them, computed once."""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance

from embedded.photographs.encoder import first_maps
from embedded.photographs.photographs import Photograph
from embedded.photographs.tiles import View
from pipeline.base.files import replacing
from pipeline.base.progress import Progress

_BATCH = 16
_LIGHT = 0.25  # brightness and contrast vary by this share

Preprocess = Callable[[Image.Image], torch.Tensor]


def pixel_batches(
    photographs: Sequence[Photograph],
    views: Sequence[View],
    preprocess: Preprocess,
    light: random.Random | None = None,
) -> Iterator[torch.Tensor]:
    """Normalised pixels (B, 3, H, W) of all views, in their order; each photograph is decoded once.

    Args:
        light: gives each view a light of its own.
    """
    waiting = []
    for number, of_one in groupby(views, key=lambda view: view.number):
        photograph = photographs[number].picture()
        for view in of_one:
            picture = view.picture(photograph)
            waiting.append(preprocess(picture if light is None else _in_other_light(picture, light)))
            if len(waiting) == _BATCH:
                yield torch.stack(waiting)
                waiting = []
    if waiting:
        yield torch.stack(waiting)


def trunk_hash(model: Any) -> str:
    """Hex sha256 of the weights that make the maps."""
    trunk = model.visual.trunk
    parts = torch.nn.ModuleList([trunk.conv_stem, trunk.bn1, *trunk.blocks[:-1]])
    digest = hashlib.sha256()
    for name, values in sorted(parts.state_dict().items()):
        digest.update(f"{name} {tuple(values.shape)}".encode() + values.contiguous().numpy().tobytes())
    return digest.hexdigest()


def write_maps(path: Path, model: Any, views: int, pixels: Iterator[torch.Tensor]) -> None:
    """Write the maps of all views: (N, C, H, W) float16. The other files in this folder are deleted."""
    for other in path.parent.glob("*.npy"):
        other.unlink()
    device = next(model.parameters()).device
    bar = Progress(total=views, title="maps", unit="tile")
    with replacing(path) as temporary, torch.inference_mode(), bar:
        maps, done = None, 0
        for batch in pixels:
            channels_last = batch.to(device, memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):  # a sixth of the time on a CPU that has it
                part = first_maps(model, channels_last).half().cpu().numpy()
            if maps is None:
                maps = np.lib.format.open_memmap(temporary, "w+", np.float16, (views, *part.shape[1:]))
            maps[done : done + len(part)] = part
            done += len(part)
            bar.update(len(part))
        if maps is not None:
            maps.flush()


def _in_other_light(image: Image.Image, rng: random.Random) -> Image.Image:
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        image = kind(image).enhance(1 + rng.uniform(-_LIGHT, _LIGHT))
    return image
