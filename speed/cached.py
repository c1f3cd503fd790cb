"""A step of tuning on cached image features against one with the vision tower in it. Needs what `tune` reads.

The tower is frozen there as well: it embeds the references and targets of the batch anew in each step, from
pixels that are decoded already. So this is the least that training without cached features must do more.
"""

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.base.params import Params, load_params
from pipeline.vision.vlm import TextTokenizer, Vlm, load_vlm
from speed.figures import Figure, Run, in_turns, ratio, seconds
from speed.tuning import UNIT, prepared, some_batches, train_split
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.splits import Split
from trainer.tuning.loop import Tuning


def measure(run: Run) -> dict[str, Figure]:
    params = load_params(run.root / "params.yaml")
    embedded = load_vlm(params.vlm, "cpu", run.root)
    split = train_split(params, run, embedded)
    large = vit_b_32()
    other = replace(
        split, stored=Gallery.of(torch.nn.functional.normalize(torch.randn(len(split.stored), 512)))
    )
    return {
        "cached_vs_uncached_step": _figure(
            run, params, embedded, split, params.vlm.model, run.size(params.tune.batch_size, 4)
        ),
        "cached_vs_uncached_step_vit_b_32": _figure(
            run, params, large, other, "ViT-B-32 with random weights", run.size(16, 2)
        ),
    }


def vit_b_32() -> Vlm:
    """open_clip's ViT-B/32 with random weights, which costs what a trained one costs."""
    import open_clip

    torch.manual_seed(0)
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32")
    tokenizer = TextTokenizer(open_clip.get_tokenizer("ViT-B-32"), model.context_length)
    return Vlm(model.eval(), preprocess, tokenizer, 512, "cpu", {})


def _figure(run: Run, params: Params, vlm: Vlm, split: Split, model: str, size: int) -> Figure:
    vlm.model.float()
    tune = params.tune.model_copy(update={"negatives": "batch", "batch_size": size})
    tuning = prepared(params, tune, vlm, split)
    batch = some_batches(tuning, 1)[0]
    needed = torch.cat([split.reference[batch], split.answers.target[batch]]).unique()
    height, width = _image_size(vlm)
    pixels = torch.randn(len(needed), 3, height, width).contiguous(memory_format=torch.channels_last)
    vlm.model.visual.to(memory_format=torch.channels_last)  # as embedding has it: the faster layout
    tuning._step(batch)
    _embed(vlm, pixels)
    spent = in_turns(
        {
            "cached": lambda: seconds(lambda: tuning._step(batch)),
            "uncached": lambda: seconds(lambda: _uncached(tuning, batch, vlm, pixels)),
        },
        run.turns,
    )
    against = (
        f"the same step that embeds the {len(needed)} references and targets of its {len(batch)} queries "
        f"anew, by the frozen vision tower from decoded pixels. {model}, the batch's targets as negatives, "
        f"threads: {torch.get_num_threads()}, in turns; median of {run.turns} pairs"
    )
    return ratio(spent["cached"], spent["uncached"], UNIT, against)


def _uncached(tuning: Tuning, batch: Tensor, vlm: Vlm, pixels: Tensor) -> None:
    _embed(vlm, pixels)
    tuning._step(batch)


@torch.inference_mode()
def _embed(vlm: Vlm, pixels: Tensor) -> None:
    vlm.model.encode_image(pixels, normalize=True)


def _image_size(vlm: Vlm) -> tuple[int, int]:
    size = vlm.model.visual.image_size
    return (size, size) if isinstance(size, int) else tuple(size)
