"""Train the captioner from nothing.

    python -m embedded.captioner.train --out models/captioner --steps 20000

Computes in bfloat16 on a GPU and on processors that have it (float32 master weights). A run that was killed
goes on from its last state when it is started again: to the same weights on the same device with as many
threads.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

# read when torch is loaded: threads that wait by spinning lose nearly all their speed where a core is shared
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from embedded import state
from embedded.captioner.data import renderer
from embedded.captioner.export import export
from embedded.captioner.graphs import words
from embedded.captioner.model import Captioner, Shape
from embedded.captioner.pools import Background, Recipe, examples
from embedded.captioner.tokens import train_tokenizer
from pipeline.base.code import code_hash

VOCABULARY = 2048
MOST_GROUPS = 12
LEARNT = 0.35  # nats a token at which graphs grow by one group
ROOMS = ("embedded/captioner", "embedded/state.py", "embedded/world", "pipeline/graph")


@dataclass(frozen=True)
class Phase:
    """What is trained on up to a point of the run (`until`, 1 is its end); shares as in `Recipe`."""

    until: float
    least_groups: int
    world: float
    edited: float
    heavy: float


PHASES = (
    Phase(until=0.35, least_groups=1, world=0.4, edited=0.6, heavy=1.0),  # to copy what the graph says
    Phase(until=1.0, least_groups=MOST_GROUPS, world=0.5, edited=0.9, heavy=4.0),  # to change it
)


def phase_at(done: float) -> Phase:
    """The phase at a point of the run from 0 to 1."""
    return next((phase for phase in PHASES if done < phase.until), PHASES[-1])


def rate_at(step: int, steps: int) -> float:
    """The learning rate at a step as a share of its peak: a warm-up, 60% of the run, then down to 2%."""
    falling = max(0.0, (step / steps - 0.6) / 0.4)
    return min(1.0, (step + 1) / min(100, steps)) * (1 - 0.98 * falling)


@dataclass
class Curriculum:
    """How big graphs are: they grow as they are learnt, for copying is found much faster in short prompts."""

    groups: int = 1
    recent: list[float] = field(default_factory=list)  # losses at this size

    def grow(self, done: float) -> int:
        """The size of graphs from here on, the run being `done` (0 to 1)."""
        least = phase_at(done).least_groups
        if self.groups < least:
            self.groups, self.recent = least, []
        elif self.groups < MOST_GROUPS and len(self.recent) >= 25:
            if sum(self.recent) / len(self.recent) < LEARNT or done > self.groups / MOST_GROUPS / 4:
                self.groups += 1
            self.recent = []
        return self.groups

    def learnt(self, groups: int, loss: float) -> None:
        """Take note of a step's loss on graphs of up to so many groups."""
        if groups == self.groups < MOST_GROUPS:
            self.recent.append(loss)


def recipe_at(done: float, groups: int, number: int, seed: int, tokens: int) -> Recipe:
    """The recipe of the pool `number`; batches of small graphs are half as big."""
    phase = phase_at(done)
    size = tokens if groups > 6 else tokens // 2
    return Recipe(seed, number, groups, phase.world, phase.edited, phase.heavy, size)


def make_tokenizer(seed: int, drawn: int) -> Tokenizer:
    """BPE over the prompts and captions of `drawn` training examples, and over the plain word list."""
    rng, render = Random(seed), renderer()
    texts: list[str] = []
    for message, caption, _ in islice(examples(rng, MOST_GROUPS, world=0.0, edited=0.55), drawn):
        texts += (_unmarked(render(message)), " " + caption)
    return train_tokenizer([*texts, *(" " + word for word in words(held_out=False))], VOCABULARY)


def _unmarked(text: str) -> str:
    return " ".join(part.split("|>")[-1] for part in text.split("<|"))


def optimisers(model: Captioner, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


class Run:
    """A training run between two pools: all that its next step depends on."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        # arguments that change the weights by more than rounding
        names = ("steps", "tokens", "rate", "width", "layers", "hidden", "seed", "tokenizer_examples")
        self.settings = {name: getattr(args, name) for name in names} | {"sources": code_hash(*ROOMS)}
        self.state = args.out.with_name(f"{args.out.name}.state")
        kept = state.load(self.state, self.settings)
        self.tokenizer = (
            Tokenizer.from_str(kept["tokenizer"])
            if kept
            else make_tokenizer(args.seed, args.tokenizer_examples)
        )
        torch.manual_seed(args.seed)
        self.shape = Shape(VOCABULARY, args.width, args.layers, hidden=args.hidden)
        self.model = Captioner(self.shape).to(args.device)
        self.tuned = optimisers(self.model, args.rate)
        self.bfloat16 = args.device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported()
        self.step, self.curriculum = 0, Curriculum()
        self.recipe = self.next_recipe(0)
        if kept:
            self._restore(kept)
            print(f"goes on from step {self.step}", flush=True)

    def next_recipe(self, number: int) -> Recipe:
        """The recipe of a pool, from what is known before the pool before it is learnt."""
        done = self.step / self.args.steps
        return recipe_at(done, self.curriculum.grow(done), number, self.args.seed, self.args.tokens)

    def learn(self, batch: tuple[Tensor, Tensor, Tensor]) -> float:
        """One step on ids, labels and weights, each (B, T); its loss in nats a token."""
        ids, labels, weights = batch
        said = labels >= 0
        logits = self.model(ids, said, torch.bfloat16 if self.bfloat16 else torch.float32)
        losses = F.cross_entropy(logits.float(), labels[said], reduction="none")
        loss = (losses * weights[said]).sum() / weights[said].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.tuned:
            for group in optimiser.param_groups:
                group["lr"] = self.args.rate * rate_at(self.step, self.args.steps)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.curriculum.learnt(self.recipe.groups, loss.item())
        return loss.item()

    def save(self) -> None:
        """Write the state; data need no more than the next recipe, as every pool has a seed of its own."""
        parts: dict[str, Any] = {
            "tokenizer": self.tokenizer.to_str(),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.tuned],
            "step": self.step,
            "curriculum": asdict(self.curriculum),
            "recipe": asdict(self.recipe),
        }
        state.save(self.state, self.settings, parts)

    def _restore(self, kept: dict[str, Any]) -> None:
        self.model.load_state_dict(kept["model"])
        for optimiser, state_dict in zip(self.tuned, kept["optimisers"], strict=True):
            optimiser.load_state_dict(state_dict)
        self.step = kept["step"]
        self.curriculum = Curriculum(**kept["curriculum"])
        self.recipe = Recipe(**kept["recipe"])

    def export(self) -> None:
        """Write the model as it is."""
        export(self.model, self.shape, self.tokenizer, self.args.out)


def steps(run: Run) -> Iterator[tuple[float, int]]:
    """Train to the end: the loss and the number of tokens of every step."""
    device, saved = run.args.device, run.step
    with Background(run.tokenizer) as pools:
        pool = pools.make(run.recipe)
        while run.step < run.args.steps:
            batches = pool.result()
            following = run.next_recipe(run.recipe.number + 1)
            pool = pools.make(following)
            for batch in batches[: run.args.steps - run.step]:
                ids, labels, weights = (torch.from_numpy(part).to(device) for part in batch)
                yield run.learn((ids, labels, weights)), ids.numel()
            run.recipe = following
            if run.step - saved >= run.args.state_every or run.step == run.args.steps:
                run.save()
                saved = run.step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokenizer-examples", type=int, default=12_000)
    parser.add_argument("--export-every", type=int, default=1000, help="steps")
    parser.add_argument("--state-every", type=int, default=200, help="steps, at least")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what determinism takes on a GPU
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    args.out.mkdir(parents=True, exist_ok=True)
    run = Run(args)
    millions = sum(p.numel() for p in run.model.parameters()) / 1e6
    print(f"{millions:.2f} M parameters, {args.device}, {args.threads} threads", flush=True)
    started, first, since = time.monotonic(), run.step, time.monotonic()
    total, tokens, counted = 0.0, 0, 0
    for loss, size in steps(run):
        total, tokens, counted = total + loss, tokens + size, counted + 1
        if run.step % 50 == 0:
            now = time.monotonic()
            left = (now - started) / (run.step - first) * (args.steps - run.step)
            print(
                f"step {run.step}/{args.steps} loss {total / counted:.4f} groups {run.recipe.groups} "
                f"{tokens / (now - since):.0f} tokens/s, {left / 60:.1f} min left",
                flush=True,
            )
            since, total, tokens, counted = now, 0.0, 0, 0
        if run.step % args.export_every == 0:
            run.export()
    run.export()


if __name__ == "__main__":
    main()
