"""Train the encoder from nothing: `python -m embedded.vlm.train --data DIR --validation DIR --steps 4000`.

The loss has three terms, all from the same image-caption pairs: a contrastive one, and those of two heads
that are dropped at the end. The first head reads the stated facts off the feature of either tower, so that
both learn about objects and words from the first step on. The second reads what a caption says of a position
("red", "above", "two") off that cell of the image tower's last map: without it, relations are hardly learnt.

The folder `--out` is written at every evaluation. After a kill the same command continues from the last state
to the same weights. A batch is a function of seed and step alone (`embedded.vlm.batches`), so that a state is
the weights, the optimiser and the number of steps done.
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
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from embedded import state
from embedded.training import Figures, Progress, add_options, prepare, settings_of
from embedded.vlm.batches import SHIFT, PairBatches, Pairs, write_captions
from embedded.vlm.captions import Fact
from embedded.vlm.data import read
from embedded.vlm.encoder import (
    MEAN,
    STD,
    build_model,
    cell_features,
    encode_halves,
    pool_cells,
    train_tokenizer,
)
from embedded.vlm.evaluate import measure
from embedded.vlm.export import export
from embedded.vlm.general_world import ADJECTIVES, RELATIONS
from embedded.vlm.losses import bag_loss, contrastive_loss
from embedded.world.vocabulary import PREDICATES, SIZES
from pipeline.base.files import sha256_file

WARMUP, COOLDOWN = 0.04, 0.35  # shares of the run
MAX_SCALE = 60.0
EVALUATE_EVERY = 1000  # steps
_FINE = {ADJECTIVES.get(word, word) for word in SIZES} | {RELATIONS.get(word, word) for word in PREDICATES}


def importance_of(fact: Fact) -> float:
    """Numbers, sizes and relations count twice: they show in few pixels, and are learnt last."""
    return 2.0 if any(word.startswith("#") or word in _FINE for word in fact) else 1.0


def to_input(batch: Pairs) -> torch.Tensor:
    """Normalised (B, 3, H, W), with other light and contrast for each image, and one small shift for all.

    No flips, turns or crops: where a thing is, is a fact.
    """
    x = batch.pixels.permute(0, 3, 1, 2).float()  # (B, 3, H, W), channels last in memory
    mean, std = (torch.tensor(value, device=x.device).view(3, 1, 1) for value in (MEAN, STD))
    x = x * (batch.gain / (255 * std)) + (batch.offset - mean / std * batch.gain)
    size = x.shape[-1]
    top, left = batch.corner.tolist()
    padded = F.pad(x, (SHIFT,) * 4, mode="replicate")
    return padded[:, :, top : top + size, left : left + size].contiguous(memory_format=torch.channels_last)


def to_device(batch: Any, device: torch.device) -> Any:
    """A named tuple of tensors, or of such tuples, on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    return type(batch)(*(to_device(item, device) for item in batch))


def rate_at(progress: float) -> float:
    """Warm-up, plateau, then a linear fall to 0, as a factor of the learning rate."""
    return min(1.0, progress / WARMUP, max(0.0, (1 - progress) / COOLDOWN))


def parameter_groups(model: torch.nn.Module, heads: list[torch.nn.Parameter], rate: float) -> list[dict]:
    """Weight decay on matrices and filters only; the heads learn faster."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": 0.05, "peak": rate},
        {"params": others, "weight_decay": 0.0, "peak": rate},
        {"params": heads, "weight_decay": 0.0, "peak": 5 * rate},
    ]


class Trainer:
    """The model, the heads and the optimiser of one run; `step` learns one batch."""

    def __init__(self, batches: PairBatches, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.model = build_model(options.seed).to(memory_format=torch.channels_last)
        self.head = torch.nn.Linear(self.model.text_projection.shape[1], len(batches.index))
        torch.nn.init.normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(batches.share().clamp(1e-4, 0.9)))
        self.cell_head = torch.nn.Linear(self.model.visual.attnpool.k_proj.in_features, len(batches.words))
        torch.nn.init.normal_(self.cell_head.weight, std=0.02)
        torch.nn.init.constant_(self.cell_head.bias, -3.0)
        for module in (self.model, self.head, self.cell_head):
            module.to(self.device)
        self.importance = torch.tensor([importance_of(fact) for fact in batches.index], device=self.device)
        self.word_importance = torch.tensor(
            [importance_of((word,)) for word in batches.words], device=self.device
        )
        heads = [*self.head.parameters(), *self.cell_head.parameters()]
        groups = parameter_groups(self.model, heads, options.rate)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.stateful = {name: getattr(self, name) for name in ("model", "head", "cell_head", "optimizer")}

    def step(self, batch: Pairs, progress: float) -> Figures:
        """Learn one batch; `progress` from 0 to 1 sets the learning rate and the weights of the terms."""
        batch = to_device(batch, self.device)
        stated, shown = batch.stated.float(), batch.shown.float()
        x = to_input(batch)
        with torch.autocast(self.device.type, torch.bfloat16):
            cells = cell_features(self.model, x)
            image = pool_cells(self.model, cells).float()
            text = encode_halves(self.model, batch.texts).float()
        holds = stated @ (1 - shown).T < 0.5
        contrast, accuracy = contrastive_loss(
            F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.model.logit_scale.exp(), holds
        )
        head = self.head.weight, self.head.bias
        bag_image = bag_loss(image, *head, shown, self.importance)
        bag_text = bag_loss(text, *head, stated, self.importance)
        cell_head = self.cell_head.weight, self.cell_head.bias
        cell_words = batch.cells.float().flatten(0, 1)
        located = bag_loss(cells.float().flatten(0, 1), *cell_head, cell_words, self.word_importance)
        loss = (
            min(1.0, 0.1 + progress / 0.1) * contrast
            + located
            + (1 - 0.5 * progress) * (bag_image + 0.5 * bag_text)
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0.0, float(np.log(MAX_SCALE)))
        figures = {
            "contrast": contrast,
            "accuracy": accuracy,
            "bag_image": bag_image,
            "bag_text": bag_text,
            "cells": located,
            "scale": self.model.logit_scale.exp(),
        }
        return {name: value.detach() for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, rate=1.2e-3)
    parser.add_argument("--data", type=Path, required=True, help="scenes to train on")
    parser.add_argument("--validation", type=Path, required=True, help="scenes to evaluate on")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--save-every", type=int, default=200, help="steps between two states")
    options = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # captions are made in a forked process
    prepare(options, warn_only=True)
    settings = settings_of(options, ("steps", "batch", "rate", "seed"), "embedded/vlm")
    settings["data"] = sha256_file(options.data / "graphs.jsonl")
    images, graphs = read(options.data)
    rng = random.Random(options.seed)
    captions = write_captions(rng.sample(graphs, min(4000, len(graphs))), rng, full=0.7)
    tokenizer = train_tokenizer(caption.text for caption in captions)
    batches = PairBatches(images, graphs, tokenizer, options.batch, options.seed)
    trainer = Trainer(batches, options)
    first = 0
    if saved := state.load(options.state, settings):
        first = saved["step"]
        for name, item in trainer.stateful.items():
            item.load_state_dict(saved[name])
        print(f"going on from step {first} ({options.state})", flush=True)
    ahead = DataLoader(
        batches,
        batch_size=None,
        sampler=range(first, options.steps),
        num_workers=1,
        prefetch_factor=4,
        pin_memory=options.device.startswith("cuda"),
    )
    progress = Progress(first, options.steps, every=25, unit="images")
    for step, batch in enumerate(ahead, first + 1):
        progress.add(step, options.batch, trainer.step(batch, (step - 1) / options.steps))
        if step < options.steps and (step == 100 or step % EVALUATE_EVERY == 0):
            evaluate(trainer.model, tokenizer, options)
        if step % options.save_every == 0 or step == options.steps:
            states = {name: item.state_dict() for name, item in trainer.stateful.items()}
            state.save(options.state, settings, {"step": step, **states})
    evaluate(trainer.model, tokenizer, options)


def evaluate(model: Any, tokenizer: Tokenizer, options: argparse.Namespace) -> None:
    """Export the encoder as it is and print its figures on the validation scenes."""
    model.eval()
    export(model, tokenizer, options.out)
    print("EVAL", json.dumps(measure(model, tokenizer, options.validation)), flush=True)
    model.train()


if __name__ == "__main__":
    main()
