"""Train the encoder from nothing: `python -m models.vlm.train --data DIR --validation DIR --minutes 60`.

Two terms from the same image-caption pairs: a contrastive one, and a head thrown away at the end that reads
the stated facts off either feature, so that the image tower is told of objects, and the text tower of words,
from the first step on. Writes the folder `--out` at every evaluation.
"""

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

from models.vlm.captions import Caption, Fact, describe, describe_some, facts_of
from models.vlm.data import read
from models.vlm.encoder import (
    MEAN,
    STD,
    build_model,
    encode_image,
    encode_text,
    export,
    tokenise,
    train_tokenizer,
)
from models.vlm.evaluate import report
from models.vlm.losses import bag_loss, contrastive_loss
from pipeline.scene_graph import GroupGraph
from pipeline.world.vocabulary import PREDICATES, SIZES

SHIFT = 2  # pixels
WARMUP, COOLDOWN = 0.04, 0.35  # fractions of the run
HEAD_FIRST = 0.03
MAX_SCALE = 60.0


def fact_index(graphs: list[GroupGraph], least: int) -> dict[Fact, int]:
    """A number for every fact that at least `least` of the graphs hold, in alphabetical order."""
    counts = Counter(fact for graph in graphs for fact in facts_of(graph))
    return {fact: number for number, fact in enumerate(sorted(f for f, n in counts.items() if n >= least))}


def bag_of(captions: list[frozenset[Fact]], index: dict[Fact, int]) -> torch.Tensor:
    """(captions, facts) of 0 and 1."""
    bag = torch.zeros(len(captions), len(index))
    for row, facts in enumerate(captions):
        bag[row, [index[fact] for fact in facts if fact in index]] = 1
    return bag


def importance_of(fact: Fact) -> float:
    """Numbers, sizes and relations count twice: they show in few pixels, and are learnt last."""
    fine = any(word.startswith("#") or word in SIZES or word in PREDICATES for word in fact)
    return 2.0 if fine else 1.0


def write_captions(graphs: list[GroupGraph], rng: random.Random, full: float) -> list[Caption]:
    """A caption for each graph, of every fact with probability `full`."""
    return [(describe if rng.random() < full else describe_some)(graph, rng) for graph in graphs]


def to_input(pixels: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 to normalised (B, 3, H, W)."""
    x = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def augment(x: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Other light and contrast for each image, and a shift of at most `SHIFT` pixels for the batch.

    No flips, turns or crops: where a thing is, is a fact.
    """
    gain = torch.from_numpy(rng.uniform(0.88, 1.12, (len(x), 1, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.uniform(-0.12, 0.12, (len(x), 1, 1, 1)).astype(np.float32))
    size = x.shape[-1]
    top, left = rng.integers(0, 2 * SHIFT + 1, 2)
    padded = F.pad(x, (SHIFT,) * 4, mode="replicate")
    return padded[:, :, top : top + size, left : left + size] * gain + offset


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

    def __init__(self, graphs: list[GroupGraph], tokenizer: Tokenizer, options: argparse.Namespace) -> None:
        self.tokenizer, self.options = tokenizer, options
        self.rng, self.noise = random.Random(options.seed), np.random.default_rng(options.seed)
        self.model = build_model(options.seed).to(memory_format=torch.channels_last)
        if options.init:
            self.model.load_state_dict(load_file(options.init / "open_clip_model.safetensors"))
        self.index = fact_index(graphs, least=max(2, len(graphs) // 4000))
        bags = [facts_of(graph) for graph in graphs]
        counts = Counter(fact for bag in bags for fact in bag)
        share = torch.tensor([counts[fact] / len(graphs) for fact in self.index]).clamp(1e-4, 0.9)
        self.importance = torch.tensor([importance_of(fact) for fact in self.index])
        dimension = self.model.text_projection.shape[1]
        self.weight = torch.nn.Parameter(0.02 * torch.randn(len(self.index), dimension))
        self.bias = torch.nn.Parameter(torch.logit(share))
        groups = parameter_groups(self.model, [self.weight, self.bias], options.rate)
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)

    def encode(self, texts: list[str]) -> torch.Tensor:
        """(B, D), the shorter and the longer half apart, which saves padding."""
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        halves = order[: len(order) // 2], order[len(order) // 2 :]
        parts = [
            encode_text(self.model, tokenise(self.tokenizer, [texts[i] for i in half])) for half in halves
        ]
        return torch.cat(parts).float()[torch.tensor(order).argsort()]

    def step(self, pixels: np.ndarray, graphs: list[GroupGraph], progress: float) -> dict[str, float]:
        """One batch; `progress` from 0 to 1 sets the learning rate and the weight of the contrastive term."""
        captions = write_captions(graphs, self.rng, full=0.45)
        stated = bag_of([caption.facts for caption in captions], self.index)
        shown = bag_of([facts_of(graph) for graph in graphs], self.index)
        x = augment(to_input(pixels), self.noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.options.bf16):
            image, text = (
                encode_image(self.model, x).float(),
                self.encode([caption.text for caption in captions]),
            )
        holds = stated @ (1 - shown).T < 0.5
        contrast, accuracy = contrastive_loss(
            F.normalize(image, dim=-1), F.normalize(text, dim=-1), self.model.logit_scale.exp(), holds
        )
        if self.options.init and progress < HEAD_FIRST:  # the head alone, until it knows the features
            image, text = image.detach(), text.detach()
        head = self.weight, self.bias
        seen = bag_loss(image, *head, shown, self.importance)
        read_ = bag_loss(text, *head, stated, self.importance)
        share = 1.0 if self.options.init else min(1.0, 0.1 + progress / 0.1)
        loss = share * contrast + self.options.bag * (1 - 0.5 * progress) * (seen + 0.5 * read_)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate_at(progress)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 2.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0.0, float(np.log(MAX_SCALE)))
        return {
            "contrast": contrast.item(),
            "accuracy": accuracy.item(),
            "bag_image": seen.item(),
            "bag_text": read_.item(),
            "scale": self.model.logit_scale.exp().item(),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", type=Path, help="an exported encoder to go on from")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--evaluate-every", type=float, default=5.0, help="minutes")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1.2e-3)
    parser.add_argument("--bag", type=float, default=1.0, help="weight of the facts head")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    images, graphs = read(options.data)
    rng = random.Random(options.seed)
    samples = [
        caption.text for caption in write_captions(rng.sample(graphs, min(4000, len(graphs))), rng, 0.7)
    ]
    known = options.init and Tokenizer.from_file(str(options.init / "tokenizer.json"))
    trainer = Trainer(graphs, known or train_tokenizer(samples), options)
    order = np.random.default_rng(options.seed)
    start, evaluated, step, log = time.monotonic(), time.monotonic(), 0, Counter[str]()
    queue: list[int] = []
    while (progress := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        if len(queue) < options.batch:
            queue = order.permutation(len(graphs)).tolist()
        rows = sorted(queue[: options.batch])
        del queue[: options.batch]
        log.update(trainer.step(images[rows], [graphs[row] for row in rows], progress))
        step += 1
        if step % 20 == 0:
            means = {name: round(total / 20, 3) for name, total in log.items()}
            print(f"{time.monotonic() - start:6.0f}s step {step}", json.dumps(means), flush=True)
            log.clear()
        if step == 100 or time.monotonic() - evaluated > 60 * options.evaluate_every:
            checkpoint(trainer, options)
            evaluated = time.monotonic()
    checkpoint(trainer, options)


def checkpoint(trainer: Trainer, options: argparse.Namespace) -> None:
    """Export the encoder as it is and print its figures on the validation scenes."""
    trainer.model.eval()
    export(trainer.model, trainer.tokenizer, options.out)
    print("EVAL", json.dumps(report(trainer.model, trainer.tokenizer, options.validation)), flush=True)
    trainer.model.train()


if __name__ == "__main__":
    main()
