"""The frozen part of the image tower, computed once for every view: `maps.npy`, (N, C, H, W) float16."""

import random
from collections.abc import Callable, Sequence
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


def write_maps(
    path: Path,
    model: Any,
    preprocess: Preprocess,
    photographs: Sequence[Photograph],
    views: Sequence[View],
    rng: random.Random,
) -> None:
    """Compute the maps of all views, in their order, each in a light of its own."""
    maps = None
    with replacing(path) as temporary, torch.inference_mode():
        done = 0
        with Progress(total=len(views), title="maps of the views", unit="view") as progress:
            for pixels in _batches(photographs, views, preprocess, rng):
                with torch.autocast("cpu", torch.bfloat16):  # channels last and bfloat16: a sixth of the time
                    batch = first_maps(model, pixels.to(memory_format=torch.channels_last)).half().numpy()
                if maps is None:
                    shape = (len(views), *batch.shape[1:])
                    maps = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
                maps[done : done + len(batch)] = batch
                done += len(batch)
                progress.update(len(batch))
        if maps is not None:
            maps.flush()


def _batches(
    photographs: Sequence[Photograph], views: Sequence[View], preprocess: Preprocess, rng: random.Random
) -> Any:
    """Normalised pixels (B, 3, H, W); each photograph is decoded once."""
    waiting = []
    for number, of_one in groupby(views, key=lambda view: view.number):
        photograph = photographs[number].picture()
        for view in of_one:
            waiting.append(preprocess(_in_other_light(view.picture(photograph), rng)))
            if len(waiting) == _BATCH:
                yield torch.stack(waiting)
                waiting = []
    if waiting:
        yield torch.stack(waiting)


def _in_other_light(image: Image.Image, rng: random.Random) -> Image.Image:
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        image = kind(image).enhance(1 + rng.uniform(-_LIGHT, _LIGHT))
    return image
