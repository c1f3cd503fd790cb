"""Train the captioner from nothing: `python -m embedded.captioner.train --out DIR --steps 9000`.

Computes in bfloat16 on a GPU and on processors that have it (float32 master weights). After a kill the same
command continues from DIR.state: to the same weights on the same device with the same number of threads.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from random import Random
from typing import Any

# before torch is loaded: threads that wait by spinning lose nearly all their speed where a core is shared
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from embedded import state
from embedded.captioner.batches import renderer
from embedded.captioner.examples import examples
from embedded.captioner.export import export
from embedded.captioner.model import Captioner, Shape
from embedded.captioner.pools import Background, Recipe
from embedded.captioner.random_graphs import words
from embedded.captioner.tokens import train_tokenizer
from embedded.training import Progress, add_options, prepare, settings_of

VOCABULARY = 2048
MOST_GROUPS = 12
LEARNT = 0.35  # nats a token at which graphs grow by one group
EXPORT_EVERY = 1000  # steps
# the options that change the weights by more than rounding
DECISIVE = ("steps", "tokens", "rate", "width", "layers", "hidden", "seed", "tokenizer_examples")


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
    """How big graphs are: they grow as they are learnt, because copying is learnt faster in short prompts."""

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

    def record(self, groups: int, loss: float) -> None:
        """Record a step's loss on graphs of up to so many groups."""
        if groups == self.groups < MOST_GROUPS:
            self.recent.append(loss)


def recipe_at(done: float, groups: int, number: int, seed: int, tokens: int) -> Recipe:
    """The recipe of the pool `number`; batches of small graphs are half as big."""
    phase = phase_at(done)
    size = tokens if groups > 6 else tokens // 2
    return Recipe(seed, number, groups, phase.world, phase.edited, phase.heavy, size)


def make_tokenizer(seed: int, count: int) -> Tokenizer:
    """BPE over the prompts and captions of `count` training examples, and over the plain word list."""
    rng, render = Random(seed), renderer()
    texts: list[str] = []
    for message, caption, _ in islice(examples(rng, MOST_GROUPS, world=0.0, edited=0.55), count):
        texts += (_unmarked(render(message)), " " + caption)
    return train_tokenizer([*texts, *(" " + word for word in words(held_out=False))], VOCABULARY)


def _unmarked(text: str) -> str:
    """A prompt without its special tokens."""
    return " ".join(stretch.split("|>")[-1] for stretch in text.split("<|"))


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

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.settings = settings_of(options, DECISIVE, "embedded/captioner")
        saved = state.load(options.state, self.settings)
        self.tokenizer = (
            Tokenizer.from_str(saved["tokenizer"])
            if saved
            else make_tokenizer(options.seed, options.tokenizer_examples)
        )
        torch.manual_seed(options.seed)
        self.shape = Shape(VOCABULARY, options.width, options.layers, hidden=options.hidden)
        self.model = Captioner(self.shape).to(options.device)
        self.optimisers = optimisers(self.model, options.rate)
        self.bfloat16 = options.device.startswith("cuda") or torch.cpu._is_avx512_bf16_supported()
        self.step, self.curriculum = 0, Curriculum()
        self.recipe = self.next_recipe(0)
        if saved:
            self._restore(saved)
            print(f"goes on from step {self.step}", flush=True)

    def next_recipe(self, number: int) -> Recipe:
        """The recipe of a pool, from what is known before the pool before it is learnt."""
        done = self.step / self.options.steps
        return recipe_at(done, self.curriculum.grow(done), number, self.options.seed, self.options.tokens)

    def learn(self, ids: Tensor, labels: Tensor, weights: Tensor) -> float:
        """One step on ids, labels and weights, each (B, T); its loss in nats a token."""
        learnt = labels >= 0
        logits = self.model(ids, learnt, torch.bfloat16 if self.bfloat16 else torch.float32)
        losses = F.cross_entropy(logits.float(), labels[learnt], reduction="none")
        loss = (losses * weights[learnt]).sum() / weights[learnt].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.options.rate * rate_at(self.step, self.options.steps)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.curriculum.record(self.recipe.groups, loss.item())
        return loss.item()

    def save(self) -> None:
        """Write the state; of the data the next recipe is enough, as every pool has its own seed."""
        contents: dict[str, Any] = {
            "tokenizer": self.tokenizer.to_str(),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "curriculum": asdict(self.curriculum),
            "recipe": asdict(self.recipe),
        }
        state.save(self.options.state, self.settings, contents)

    def _restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        for optimiser, state_dict in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state_dict)
        self.step = saved["step"]
        self.curriculum = Curriculum(**saved["curriculum"])
        self.recipe = Recipe(**saved["recipe"])


def steps(run: Run) -> Iterator[tuple[float, int]]:
    """Train to the end: the loss and the number of tokens of every step."""
    options, saved = run.options, run.step
    with Background(run.tokenizer) as pools:
        pool = pools.make(run.recipe)
        while run.step < options.steps:
            batches = pool.result()
            following = run.next_recipe(run.recipe.number + 1)
            pool = pools.make(following)
            for batch in batches[: options.steps - run.step]:
                ids, labels, weights = (torch.from_numpy(array).to(options.device) for array in batch)
                yield run.learn(ids, labels, weights), ids.numel()
            run.recipe = following
            if run.step - saved >= options.state_every or run.step == options.steps:
                run.save()
                saved = run.step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser, rate=3e-3)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a batch")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--tokenizer-examples", type=int, default=12_000)
    parser.add_argument("--state-every", type=int, default=200, help="steps between two states, at least")
    options = parser.parse_args()
    prepare(options)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    progress = Progress(run.step, options.steps, every=50, unit="tokens")
    for loss, tokens in steps(run):
        progress.add(run.step, tokens, {"loss": loss, "groups": run.recipe.groups})
        if run.step % EXPORT_EVERY == 0:
            export(run.model, run.shape, run.tokenizer, options.out)
    export(run.model, run.shape, run.tokenizer, options.out)


if __name__ == "__main__":
    main()
