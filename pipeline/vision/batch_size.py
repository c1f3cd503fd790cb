"""How many images the model takes at a time, measured where `speed.embed_batch` says `auto`."""

import logging
import time
from typing import Any, Literal

from pipeline.vision.memory import keep_freed_memory
from pipeline.vision.vlm import Vlm

log = logging.getLogger(__name__)

USUAL = 32  # where too few images are embedded for a measurement to pay
_SIZES = (8, 16, 32, 64, 128, 256)
_LOOKS = 3  # of which the quickest counts
_LONGEST_S = 2.0  # that one forward pass of a measurement may take: larger batches are not tried
_AS_GOOD = 0.97  # of the best rate: the smallest batch that reaches it is taken
_WORTH = 4096  # images from which on a measurement takes less than it saves


def batch_size(vlm: Vlm, wanted: int | Literal["auto"], images: int, *, threads: int | None = None) -> int:
    """The number that is wanted, or the one with which the model embeds most images a second.

    Another batch can change the last bits of a feature, so `auto` may not repeat them on another machine.

    Args:
        images: how many are to be embedded.
        threads: of PyTorch, while the model is measured on a CPU; None: as many as it has.
    """
    if wanted != "auto":
        return wanted
    if images < _WORTH:
        return USUAL
    rates = _rates(vlm, threads)
    chosen = min(size for size, rate in rates.items() if rate >= _AS_GOOD * max(rates.values()))
    shown = ", ".join(f"{size}: {rate:.0f}" for size, rate in rates.items())
    log.info("embed: %d images at a time; images/s by batch: %s", chosen, shown)
    return chosen


def _rates(vlm: Vlm, threads: int | None) -> dict[int, float]:
    """Images a second of the image tower, by batch size, up to where memory or time run out."""
    import torch
    from PIL import Image

    picture = vlm.preprocess(Image.effect_mandelbrot((256, 256), (-2.0, -1.5, 1.0, 1.5), 9).convert("RGB"))
    if vlm.device == "cpu":
        keep_freed_memory()  # as in the workers that will embed
    before, rates = torch.get_num_threads(), {}
    torch.set_num_threads(threads or before)
    try:
        for size in _SIZES:
            try:
                spent = min(_seconds(vlm, picture, size) for _ in range(_LOOKS))
            except (RuntimeError, MemoryError):  # on CPUs torch has no error of its own for memory
                break
            rates[size] = size / spent
            if spent > _LONGEST_S:
                break
    finally:
        torch.set_num_threads(before)
        torch.cuda.empty_cache()
    return rates or {_SIZES[0]: 1.0}


def _seconds(vlm: Vlm, picture: Any, size: int) -> float:
    import torch

    images = picture.expand(size, -1, -1, -1).contiguous(memory_format=torch.channels_last)
    start = time.perf_counter()
    vlm.encode_images(images).cpu()  # a GPU has finished when its numbers are here
    return time.perf_counter() - start
