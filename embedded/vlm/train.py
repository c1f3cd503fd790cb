"""Train the encoder from nothing: `python -m embedded.vlm.train --data DIR --validation DIR --steps 10000`.

Three terms from the same image-caption pairs: a contrastive one, and two heads thrown away at the end. One
reads the stated facts off either feature, so that the image tower is told of objects, and the text tower of
words, from the first step on. The other reads what a caption says of a place ("red", "above", "two") off that
place of the image tower's last map: without it, relations within a cell are not learnt at all. Writes the
folder `--out` at every evaluation. After a kill the same command goes on from the last state it wrote, to the
same weights.
"""

import argparse
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

from embedded.vlm.batches import SHIFT, PairBatches, Pairs, write_captions
from embedded.vlm.captions import Fact
from embedded.vlm.data import read
from embedded.vlm.encoder import (
    MEAN,
    STD,
    build_model,
    cell_features,
    encode_halves,
    export,
    pool_cells,
    train_tokenizer,
)
from embedded.vlm.evaluate import report
from embedded.vlm.losses import bag_loss, contrastive_loss
from embedded.vlm.running import Figures, add_arguments, prepare, to_device, train_steps
from embedded.world.vocabulary import PREDICATES, SIZES

WARMUP, COOLDOWN = 0.04, 0.35  # fractions of the run
HEAD_FIRST = 0.03
MAX_SCALE = 60.0


def importance_of(fact: Fact) -> float:
    """Numbers, sizes and relations count twice: they show in few pixels, and are learnt last."""
    fine = any(word.startswith("#") or word in SIZES or word in PREDICATES for word in fact)
    return 2.0 if fine else 1.0


def to_input(batch: Pairs) -> torch.Tensor:
    """Normalised (B, 3, H, W), other light and contrast for each image, and one small shift for all.

    No flips, turns or crops: where a thing is, is a fact.
    """
    x = batch.pixels.permute(0, 3, 1, 2).float()  # (B, 3, H, W), channels last in memory
    mean, std = (torch.tensor(value, device=x.device).view(3, 1, 1) for value in (MEAN, STD))
    x = x * (batch.gain / (255 * std)) + (batch.offset - mean / std * batch.gain)
    size = x.shape[-1]
    top, left = batch.corner.tolist()
    padded = F.pad(x, (SHIFT,) * 4, mode="replicate")
    return padded[:, :, top : top + size, left : left + size].contiguous(memory_format=torch.channels_last)


def rate_at(progress: float) -> float:
    """Warm-up, plateau, then a linear fall to 0, as a factor of the learning rate."""
    return min(1.0, progress / WARMUP, max(0.0, (1 - progress) / COOLDOWN))


def parameter_groups(model: torch.nn.Module, head: list[torch.nn.Parameter], rate: float) -> list[dict]:
    """Weight decay on matrices and filters only; the head learns faster."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": 0.05, "peak": rate},
        {"params": others, "weight_decay": 0.0, "peak": rate},
        {"params": head, "weight_decay": 0.0, "peak": 5 * rate},
    ]


class Trainer:
    """The state of one run; `step` is one batch."""

    def __init__(self, batches: PairBatches, options: argparse.Namespace, device: torch.device) -> None:
        self.options, self.device = options, device
        self.model = build_model(options.seed).to(memory_format=torch.channels_last)
        if options.init:
            self.model.load_state_dict(load_file(options.init / "open_clip_model.safetensors"))
        dimension = self.model.text_projection.shape[1]
        self.head = torch.nn.Linear(dimension, len(batches.index))
        torch.nn.init.normal_(self.head.weight, std=0.02)
        with torch.no_grad():
            self.head.bias.copy_(torch.logit(batches.share().clamp(1e-4, 0.9)))
        channels = self.model.visual.attnpool.k_proj.in_features
        self.cell_head = torch.nn.Linear(channels, len(batches.words))
        torch.nn.init.normal_(self.cell_head.weight, std=0.02)
        torch.nn.init.constant_(self.cell_head.bias, -3.0)
        self.model, self.head = self.model.to(device), self.head.to(device)
        self.cell_head = self.cell_head.to(device)
        self.importance = torch.tensor([importance_of(fact) for fact in batches.index], device=device)
        self.word_importance = torch.tensor([importance_of((word,)) for word in batches.words], device=device)
        heads = [*self.head.parameters(), *self.cell_head.parameters()]
        groups = parameter_groups(self.model, heads, options.rate)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)

    def parts(self) -> dict[str, Any]:
        """What a state file holds."""
        return {
            "model": self.model,
            "head": self.head,
            "cell_head": self.cell_head,
            "optimizer": self.optimizer,
        }

    def step(self, batch: Pairs, progress: float) -> Figures:
        """One batch; `progress` from 0 to 1 sets the learning rate and the weight of the contrastive term."""
        batch = to_device(batch, self.device)
        stated, shown = batch.stated.float(), batch.shown.float()
        x = to_input(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.options.bf16):
            cells = cell_features(self.model, x)
            image = pool_cells(self.model, cells).float()
            text = encode_halves(self.model, batch.texts).float()
        holds = stated @ (1 - shown).T < 0.5
        contrast, accuracy = contrastive_loss(
            F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.model.logit_scale.exp(), holds
        )
        if self.options.init and progress < HEAD_FIRST:  # the head alone, until it knows the features
            image, text = image.detach(), text.detach()
        head = self.head.weight, self.head.bias
        seen = bag_loss(image, *head, shown, self.importance)
        read_ = bag_loss(text, *head, stated, self.importance)
        share = 1.0 if self.options.init else min(1.0, 0.1 + progress / 0.1)
        cell_head = self.cell_head.weight, self.cell_head.bias
        located = bag_loss(
            cells.float().flatten(0, 1), *cell_head, batch.cells.float().flatten(0, 1), self.word_importance
        )
        loss = (
            share * contrast
            + self.options.cells * located
            + self.options.bag * (1 - 0.5 * progress) * (seen + 0.5 * read_)
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
            "bag_image": seen,
            "bag_text": read_,
            "cells": located,
            "scale": self.model.logit_scale.exp(),
        }
        return {name: value.detach() for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--init", type=Path, help="an exported encoder to go on from")
    parser.add_argument("--evaluate-every", type=int, default=1000, help="steps")
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--cells", type=float, default=1.0, help="weight of the head that reads cells")
    parser.add_argument("--bag", type=float, default=1.0, help="weight of the facts head")
    options = parser.parse_args()
    device = prepare(options)
    images, graphs = read(options.data)
    rng = random.Random(options.seed)
    samples = [
        caption.text for caption in write_captions(rng.sample(graphs, min(4000, len(graphs))), rng, 0.7)
    ]
    known = options.init and Tokenizer.from_file(str(options.init / "tokenizer.json"))
    tokenizer = known or train_tokenizer(samples)
    batches = PairBatches(images, graphs, tokenizer, options.batch, options.seed)
    trainer = Trainer(batches, options, device)

    def after(step: int) -> None:
        if step < options.steps and (step == 100 or step % options.evaluate_every == 0):
            evaluate(trainer.model, tokenizer, options)

    train_steps(options, batches, trainer.parts(), trainer.step, after)
    evaluate(trainer.model, tokenizer, options)


def evaluate(model: Any, tokenizer: Tokenizer, options: argparse.Namespace) -> None:
    """Export the encoder as it is and print its figures on the validation scenes."""
    model.eval()
    export(model, tokenizer, options.out)
    print("EVAL", json.dumps(report(model, tokenizer, options.validation)), flush=True)
    model.train()


if __name__ == "__main__":
    main()
