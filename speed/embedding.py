"""Embedding against what decoding and the model allow together, and against a plain open_clip loop.

Needs the images of `corpus`. All sides use every core: as many worker processes as there are cores, and
PyTorch's own threads.
"""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import normalize
from torch.utils.data import DataLoader

from pipeline.base.cores import usable_cores
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from pipeline.vision.batch_size import batch_size
from pipeline.vision.embedding import Spent, embed_images
from pipeline.vision.reading import Images, Source, stacked
from pipeline.vision.vlm import Vlm, load_vlm
from speed.figures import Figure, Run, in_turns, products, ratio, seconds

UNIT = "ratio of images per second"
_FORK = "fork"  # a measurement's process would start workers that import everything again, as it did itself


class _Plain:
    """Images as open_clip's own examples read them."""

    def __init__(self, sources: Sequence[Source], preprocess: Any) -> None:
        self.sources, self.preprocess = sources, preprocess

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Any:
        return self.preprocess(Image.open(self.sources[index].path).convert("RGB"))


def measure(run: Run) -> dict[str, Figure]:
    params, cores = load_params(run.root / "params.yaml"), usable_cores()
    paths, dataset = Paths(run.root), params.datasets[0]
    rows = read_table(paths.images(dataset), IMAGES, ["path", "sha256"]).to_pylist()
    sources = [Source(run.root / row["path"], row["sha256"]) for row in rows][: run.size(2000, 80)]
    vlm = load_vlm(params.vlm, "cpu", run.root)
    batch = batch_size(vlm, params.speed.embed_batch, len(sources), threads=1)
    plain = load_vlm(params.vlm, "cpu", run.root)  # embedding gives a model's weights another layout
    mixed = load_vlm(params.vlm.model_copy(update={"precision": "amp_bf16"}), "cpu", run.root)

    def embed(by: Vlm = vlm) -> np.ndarray:
        return np.concatenate(list(embed_images(by, sources, batch=batch, workers=cores, spent=Spent())))

    def decode() -> None:
        loader: DataLoader[Any] = DataLoader(
            Images(sources, vlm.preprocess),  # type: ignore[arg-type]
            batch_size=batch,
            num_workers=cores,
            collate_fn=len,  # no pixels travel
            multiprocessing_context=_FORK,
        )
        for _ in loader:
            pass

    # reads all files, and warms up
    cosine = float((embed() * embed(mixed)).sum(axis=1).min())
    images = Images(sources, vlm.preprocess)
    batches = [range(len(sources))[start : start + batch] for start in range(0, len(sources), batch)]
    decoded = [stacked([images[number] for number in numbers])[0] for numbers in batches]
    spent = in_turns(
        {
            "embed": lambda: seconds(embed),
            "decode": lambda: seconds(decode),
            "forward": lambda: seconds(lambda: _forward(vlm, decoded)),
            "loop": lambda: seconds(lambda: _loop(plain, sources, batch, cores)),
            "mixed": lambda: seconds(lambda: embed(mixed)),
        },
        run.turns,
    )
    count = len(sources)
    rates = {name: [count / each for each in values] for name, values in spent.items()}
    limit = [1 / (1 / one + 1 / other) for one, other in zip(rates["decode"], rates["forward"], strict=True)]
    shown = {name: f"{median(values):.0f}" for name, values in rates.items()}
    common = f"{count} images of {dataset}, {cores} cores, in turns; median of {run.turns} pairs"
    joint = (
        f"1 / (1/a + 1/b) of a = {shown['decode']} images/s, decoding alone in a process for each core, and "
        f"b = {shown['forward']}, the model alone on decoded images, with a thread for each core and memory "
        f"as PyTorch asks for it; embedding itself {shown['embed']}; {common}"
    )
    loop = (
        f"open_clip in a DataLoader's plain loop with as many workers and the same batches, {shown['loop']} "
        f"images/s; it checks no bytes; {common}"
    )
    mix = (
        f"the same with vlm.precision fp32, {shown['embed']} images/s; the least cosine of an image's two "
        f"features is {cosine:.4f}; {products()}; {common}"
    )
    return {
        "embed_amp_bf16_vs_fp32": ratio(rates["mixed"], rates["embed"], UNIT, mix),
        "embed_vs_joint_limit": ratio(rates["embed"], limit, UNIT, joint),
        "embed_vs_open_clip_loop": ratio(rates["embed"], rates["loop"], UNIT, loop),
    }


def _forward(vlm: Vlm, batches: Sequence[Any]) -> None:
    with torch.inference_mode():
        for images in batches:
            vlm.model.encode_image(images.to(memory_format=torch.channels_last))


def _loop(vlm: Vlm, sources: Sequence[Source], batch: int, workers: int) -> None:
    loader: DataLoader[Any] = DataLoader(
        _Plain(sources, vlm.preprocess),  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers,
        multiprocessing_context=_FORK,
    )
    with torch.no_grad():
        for images in loader:
            normalize(vlm.model.encode_image(images), dim=-1).numpy()
