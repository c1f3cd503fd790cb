"""Train an image-text model on photographs with boxes, from an open_clip folder:

    python -m embedded.photographs.train --start FOLDER --photographs FOLDER --places A,B --out models/mine

The folder's image tower must be a timm network such as MobileNetV2 or EfficientNet. Its last block, attention
pooling and the text tower learn, from random tiles and captions that are written from their graphs at every
step. Tiles of one photograph also learn to know each other again. All else stays as it was.

After a kill the same command continues from the last state to the same weights.
"""

import argparse
import logging
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from embedded import state
from embedded.photographs.batches import Pairs, ViewBatches
from embedded.photographs.encoder import CONFIG, TOKENIZER, WEIGHTS, build_model, config_of, encode_maps
from embedded.photographs.export import export
from embedded.photographs.losses import place_loss
from embedded.photographs.maps import pixel_batches, trunk_hash, write_maps
from embedded.photographs.photographs import read_photographs
from embedded.photographs.tiles import draw_views, with_graphs
from embedded.training import Figures, Progress, add_options, prepare, settings_of
from embedded.vlm.captions import Fact
from embedded.vlm.encoder import encode_halves
from embedded.vlm.losses import bag_loss, contrastive_loss
from embedded.vlm.train import MAX_SCALE, parameter_groups, rate_at, to_device
from pipeline.base.code import code_hash
from pipeline.base.errors import UserError
from pipeline.base.files import identity_hash, sha256_file
from pipeline.corpus.tiles import Cutting

_CODE = ("embedded/vlm", "pipeline/base/decode.py", "pipeline/boxes", "pipeline/corpus/tiles.py")
_OF_MAPS = tuple(f"embedded/photographs/{name}.py" for name in ("encoder", "maps", "tiles"))
_HARD = ("small", "large", "on", "inside", "left of", "above", "near")


def importance_of(fact: Fact) -> float:
    """Numbers, sizes and relations count twice: they show in few pixels, and are learnt last."""
    return 2.0 if any(word.startswith("#") or word in _HARD for word in fact) else 1.0


class Trainer:
    """The model, the head that reads facts and is dropped at the end, and the optimiser."""

    def __init__(self, model: Any, batches: ViewBatches, rate: float, look: float, device: str) -> None:
        self.device = torch.device(device)
        self.model, self.look = model, look
        self.head = torch.nn.Linear(model.text_projection.shape[1], len(batches.index))
        torch.nn.init.normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(batches.share().clamp(1e-4, 0.9)))
        for module in (self.model, self.head):
            module.to(self.device)
        self.importance = torch.tensor([importance_of(fact) for fact in batches.index], device=self.device)
        groups = parameter_groups(model, list(self.head.parameters()), rate)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.stateful = {name: getattr(self, name) for name in ("model", "head", "optimizer")}

    def step(self, batch: Pairs, progress: float) -> Figures:
        """Learn one batch; `progress` from 0 to 1 sets the learning rate and the weights of the terms."""
        batch = to_device(batch, self.device)
        maps = batch.maps.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16):
            image = encode_maps(self.model, maps).float()
            text = encode_halves(self.model, batch.texts).float()
        normalised = F.normalize(image, dim=-1), F.normalize(text, dim=-1)
        contrast, accuracy = contrastive_loss(*normalised, self.model.logit_scale.exp(), batch.holds)
        head = self.head.weight, self.head.bias
        bag_image = bag_loss(image, *head, batch.shown.float(), self.importance)
        bag_text = bag_loss(text, *head, batch.stated.float(), self.importance)
        place = place_loss(normalised[0], batch.places)
        loss = contrast + (1 - 0.5 * progress) * (bag_image + 0.5 * bag_text) + self.look * place
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0.0, float(np.log(MAX_SCALE)))
        figures = {"contrast": contrast, "accuracy": accuracy, "image": bag_image, "text": bag_text}
        figures["place"] = place
        return {name: value.detach() for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser, rate=5e-4)
    parser.add_argument("--start", type=Path, required=True, help="an open_clip folder to start from")
    parser.add_argument("--photographs", type=Path, required=True, help="a dataset's folder, with boxes")
    parser.add_argument("--places", default="", help="only photographs of these, separated by commas")
    parser.add_argument("--image-size", type=int, default=448, help="pixels that the model sees of a tile")
    parser.add_argument("--tile", type=int, default=180, help="pixels of a tile's side")
    parser.add_argument(
        "--scale", type=float, default=1.1, help="how many times larger or smaller tiles may be"
    )
    parser.add_argument(
        "--objects", type=int, nargs=2, default=(1, 8), help="least and most objects of a tile"
    )
    parser.add_argument(
        "--keep", type=float, default=0.85, help="share of an object that must be in its tile"
    )
    parser.add_argument("--views", type=int, default=24, help="tiles of each photograph")
    parser.add_argument("--together", type=int, default=4, help="tiles of one photograph in a batch")
    parser.add_argument("--batch", type=int, default=128, help="tiles, a multiple of --together")
    parser.add_argument(
        "--look", type=float, default=0.5, help="weight of knowing again what a photograph looks like"
    )
    parser.add_argument(
        "--words",
        type=_words,
        default={},
        help="words that captions say in place of others, as top=upper,small=tiny: a model that has not met "
        "an archive's words shows what tuning teaches",
    )
    parser.add_argument("--save-every", type=int, default=200, help="steps between two states")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # how far the maps are
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # captions are made in a forked process
    prepare(options, warn_only=True)
    try:
        train(options)
    except UserError as error:
        raise SystemExit(str(error)) from None


def _words(text: str) -> dict[str, str]:
    """`top=upper,small=tiny` as a mapping.

    Raises:
        ValueError: it is written otherwise.
    """
    return {old.strip(): new.strip() for old, new in (pair.split("=") for pair in text.split(",") if pair)}


def train(options: argparse.Namespace) -> None:
    """Draw the views, compute their maps, train, and write the model's folder.

    Raises:
        UserError: the photographs or the folder to start from cannot be used, or they give too few tiles.
    """
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    config = config_of(options.start, options.image_size)
    photographs = read_photographs(options.photographs, [p for p in options.places.split(",") if p])
    cutting = Cutting(options.tile, keep=options.keep, objects=tuple(options.objects))
    rng = random.Random(options.seed)
    views, graphs = with_graphs(draw_views(photographs, options.views, cutting, options.scale, rng))
    identity = {
        "views": [[photographs[view.number].sha256, repr(view)] for view in views],
        "start": [sha256_file(options.start / name) for name in (CONFIG, WEIGHTS, *TOKENIZER)],
        "image_size": options.image_size,
        "seed": options.seed,
    }
    names = ("steps", "batch", "rate", "together", "look", "words", "seed")
    settings = settings_of(options, names, "embedded/photographs")
    settings |= {"data": identity_hash(identity), "code": code_hash(*_CODE)}
    saved = state.load(options.state, settings)
    model = build_model(options.start, config, options.seed)
    model.visual.trunk.eval()
    made_by = {"start": trunk_hash(model), "code": code_hash(*_OF_MAPS, "pipeline/base/decode.py")}
    key = identity_hash(identity | made_by)  # another start with the same trunk has the same maps
    maps = options.out.with_name(f"{options.out.name}.maps") / f"{key[:16]}.npy"
    tokenizer, numbers = (
        open_clip.get_tokenizer(f"local-dir:{options.start}"),
        [view.number for view in views],
    )
    sampled = options.batch, options.together, options.seed
    batches = ViewBatches(np.empty(0), graphs, numbers, tokenizer, *sampled, words=options.words)
    if options.batch % options.together or not batches.steps or options.together < 2:
        reason = f"{len(views)} tiles of {len(photographs)} photographs make no batch of {options.batch}"
        remedy = "Give --batch a smaller multiple of --together, or more --views, or other --objects"
        raise UserError(reason, remedy, file=options.photographs)
    if not maps.exists():
        maps.parent.mkdir(parents=True, exist_ok=True)
        size = (options.image_size, options.image_size)
        preprocess = image_transform_v2(PreprocessCfg(size=size, **config["preprocess_cfg"]), is_train=False)
        light = random.Random(options.seed)
        pixels = pixel_batches(photographs, views, preprocess, light)
        write_maps(maps, model.to(options.device), len(views), pixels)
    batches.maps = np.load(maps, mmap_mode="r")
    trainer = Trainer(model, batches, options.rate, options.look, options.device)
    first = 0
    if saved:
        first = saved["step"]
        for name, item in trainer.stateful.items():
            item.load_state_dict(saved[name])
        print(f"going on from step {first} ({options.state})", flush=True)
    print(f"{len(photographs)} photographs, {len(views)} tiles, {len(batches.index)} facts", flush=True)
    ahead = DataLoader(
        batches, batch_size=None, sampler=range(first, options.steps), num_workers=1, prefetch_factor=4
    )
    progress = Progress(first, options.steps, every=25, unit="tiles")
    for step, batch in enumerate(ahead, first + 1):
        progress.add(step, options.batch, trainer.step(batch, (step - 1) / options.steps))
        if step % options.save_every == 0 or step == options.steps:
            states = {name: item.state_dict() for name, item in trainer.stateful.items()}
            state.save(options.state, settings, {"step": step, **states})
            if step < options.steps:
                export(model, config, options.start, options.out)
    export(model, config, options.start, options.out)


if __name__ == "__main__":
    main()
