"""Train an image-text model on photographs with boxes, from an open_clip folder:

    python -m embedded.photographs.train --start FOLDER --photographs FOLDER --places A,B --out models/mine

The folder's image tower must be a timm network of convolutions. Its last block, attention pooling and the
text tower learn, from random tiles and captions that are written from their graphs at every step. All else
stays as it was.

After a kill the same command continues from the last state to the same weights.
"""

import argparse
import json
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
from embedded.photographs.encoder import build_model, config_of, encode_maps, last_parts
from embedded.photographs.export import export
from embedded.photographs.maps import write_maps
from embedded.photographs.photographs import read_photographs
from embedded.photographs.tiles import draw_views, graphs_of, usual_sizes
from embedded.training import Figures, Progress, add_options, prepare, settings_of
from embedded.vlm.encoder import encode_halves
from embedded.vlm.losses import bag_loss, contrastive_loss
from embedded.vlm.train import importance_of, rate_at
from pipeline.base.files import sha256_file
from pipeline.corpus.tiles import Cutting

MAX_SCALE = 60.0


class Trainer:
    """The model, the head that reads facts and is dropped at the end, and the optimiser."""

    def __init__(self, model: Any, batches: ViewBatches, rate: float) -> None:
        self.model = model
        self.head = torch.nn.Linear(model.text_projection.shape[1], len(batches.index))
        torch.nn.init.normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(batches.share().clamp(1e-4, 0.9)))
        self.importance = torch.tensor([importance_of(fact) for fact in batches.index])
        trunk = [p for part in last_parts(model) for p in part.parameters()]
        pool = list(model.visual.head.parameters())
        known = {id(p) for p in (*trunk, *pool)}
        text = [p for p in model.parameters() if p.requires_grad and id(p) not in known]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": trunk, "weight_decay": 0.0, "peak": rate},
                {"params": pool, "weight_decay": 0.05, "peak": rate},
                {"params": text, "weight_decay": 0.05, "peak": rate},
                {"params": self.head.parameters(), "weight_decay": 0.0, "peak": 5 * rate},
            ],
            betas=(0.9, 0.98),
            fused=True,
        )
        self.stateful = {name: getattr(self, name) for name in ("model", "head", "optimizer")}

    def step(self, batch: Pairs, progress: float) -> Figures:
        """Learn one batch; `progress` from 0 to 1 sets the learning rate and the weights of the terms."""
        stated, shown = batch.stated.float(), batch.shown.float()
        with torch.autocast("cpu", torch.bfloat16):
            image = encode_maps(
                self.model, batch.maps.float().contiguous(memory_format=torch.channels_last)
            ).float()
            text = encode_halves(self.model, batch.texts).float()
        holds = stated @ (1 - shown).T < 0.5
        contrast, accuracy = contrastive_loss(
            F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.model.logit_scale.exp(), holds
        )
        head = self.head.weight, self.head.bias
        bag_image = bag_loss(image, *head, shown, self.importance)
        bag_text = bag_loss(text, *head, stated, self.importance)
        loss = contrast + (1 - 0.5 * progress) * (bag_image + 0.5 * bag_text)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0.0, float(np.log(MAX_SCALE)))
        figures = {"contrast": contrast, "accuracy": accuracy, "image": bag_image, "text": bag_text}
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
        "--scale", type=float, default=1.1, help="tiles are up to so many times larger or smaller"
    )
    parser.add_argument(
        "--objects", type=int, nargs=2, default=(1, 8), help="least and most objects of a tile"
    )
    parser.add_argument(
        "--keep", type=float, default=0.85, help="the share of an object that lies in its tile"
    )
    parser.add_argument("--views", type=int, default=24, help="tiles of each photograph")
    parser.add_argument("--together", type=int, default=4, help="tiles of one photograph in a batch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--save-every", type=int, default=200, help="steps between two states")
    options = parser.parse_args()
    options.device = "cpu"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # captions are made in a forked process
    prepare(options, warn_only=True)
    names = (
        "steps",
        "batch",
        "rate",
        "seed",
        "places",
        "image_size",
        "tile",
        "scale",
        "keep",
        "views",
        "together",
    )
    settings = settings_of(options, names, "embedded/photographs")
    settings |= {
        "objects": list(options.objects),
        "start": sha256_file(options.start / "open_clip_model.safetensors"),
    }
    train(options, settings)


def train(options: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Draw the views, compute their maps, train, and write the model's folder."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2

    photographs = read_photographs(options.photographs, [p for p in options.places.split(",") if p])
    cutting = Cutting(options.tile, keep=options.keep, objects=tuple(options.objects))
    rng = random.Random(options.seed)
    views = draw_views(photographs, options.views, cutting, options.scale, rng)
    graphs = graphs_of(views, usual_sizes(views))
    config = config_of(options.start, options.image_size)
    model = build_model(options.start, config, options.seed)
    model.visual.trunk.eval()
    maps = options.out.with_name(f"{options.out.name}.maps") / f"{_key(settings)}.npy"
    if not maps.exists():
        maps.parent.mkdir(parents=True, exist_ok=True)
        size = (options.image_size, options.image_size)
        preprocess = image_transform_v2(PreprocessCfg(size=size, **config["preprocess_cfg"]), is_train=False)
        write_maps(maps, model, preprocess, photographs, views, random.Random(options.seed))
    tokenizer = open_clip.get_tokenizer(f"local-dir:{options.start}")
    numbers = [view.number for view in views]
    batches = ViewBatches(
        np.load(maps, mmap_mode="r"),
        graphs,
        numbers,
        tokenizer,
        options.batch,
        options.together,
        options.seed,
    )
    trainer = Trainer(model, batches, options.rate)
    first = 0
    if saved := state.load(options.state, settings):
        first = saved["step"]
        for name, item in trainer.stateful.items():
            item.load_state_dict(saved[name])
        print(f"going on from step {first} ({options.state})", flush=True)
    print(f"{len(photographs)} photographs, {len(views)} views, {len(batches.index)} facts", flush=True)
    ahead = DataLoader(
        batches, batch_size=None, sampler=range(first, options.steps), num_workers=1, prefetch_factor=4
    )
    progress = Progress(first, options.steps, every=25, unit="views")
    for step, batch in enumerate(ahead, first + 1):
        progress.add(step, options.batch, trainer.step(batch, (step - 1) / options.steps))
        if step % options.save_every == 0 or step == options.steps:
            states = {name: item.state_dict() for name, item in trainer.stateful.items()}
            state.save(options.state, settings, {"step": step, **states})
            export(model, config, options.start, options.out)


def _key(settings: dict[str, Any]) -> str:
    """What the maps depend on."""
    import hashlib

    values = {
        name: value for name, value in settings.items() if name not in ("steps", "batch", "rate", "together")
    }
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


if __name__ == "__main__":
    main()
