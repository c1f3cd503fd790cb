"""Train the captioner from nothing.

    python -m models.captioner.train --out models/captioner --steps 20000

Runs on one CPU core with bfloat16 matrix products where the processor has them (float32 master weights).
"""

import argparse
import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer

from models.captioner.data import Example, Source, batches, mixed, open_example, renderer
from models.captioner.export import export
from models.captioner.graphs import Names, words
from models.captioner.model import Captioner, Shape
from models.captioner.tokens import TrainingEncoder, train_tokenizer
from models.captioner.world import edited_scene, plain_scene

VOCABULARY = 2048
WORLD_GROUPS = 5
MOST_GROUPS = 12
LEARNT = 0.35  # nats a token at which graphs grow by one group


def open_sources(names: Names, most_groups: int, edited: float = 0.55) -> list[tuple[float, Source]]:
    """Interpretation and pseudo captions (a share `edited`) over the open vocabulary."""
    return [
        (1 - edited, lambda rng: open_example(rng, names, edited=False, most_groups=most_groups)),
        (edited, lambda rng: open_example(rng, names, edited=True, most_groups=most_groups)),
    ]


def world_sources(edited: float) -> list[tuple[float, Source]]:
    """The same two tasks on scenes of the procedural world."""
    return [(1 - edited, plain_scene), (edited, edited_scene)]


def make_tokenizer(seed: int) -> Tokenizer:
    """BPE over training prompts and captions, and over the plain word list."""
    rng, render = Random(seed), renderer()
    drawn = islice(mixed(open_sources(Names(), 12), rng), 12_000)
    texts = [part for message, caption, _ in drawn for part in (_unmarked(render(message)), " " + caption)]
    return train_tokenizer([*texts, *(" " + word for word in words(held_out=False))], VOCABULARY)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of an exported folder."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def _unmarked(text: str) -> str:
    return " ".join(part.split("|>")[-1] for part in text.split("<|"))


def stream(rng: Random, world: float, edited: float, most_groups: int) -> Iterator[Example]:
    """Examples of both kinds, a share `world` of the world's; it joins once graphs are as big as its own."""
    share = world if most_groups >= WORLD_GROUPS else 0.0
    sources = [((1 - share) * w, s) for w, s in open_sources(Names(), most_groups, edited)]
    return mixed(sources + [(share * w, s) for w, s in world_sources(edited)], rng)


def optimisers(model: Captioner, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=0.0, help="end by the clock instead of by steps")
    parser.add_argument("--tokens", type=int, default=4096, help="tokens in a batch")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world-share", type=float, default=0.4)
    parser.add_argument(
        "--edited-share", type=float, default=0.6, help="how many examples have a modification"
    )
    parser.add_argument("--heavy", type=float, default=1.0, help="weight of the tokens that an edit changes")
    parser.add_argument("--groups", type=int, default=1, help="groups in the first graphs")
    parser.add_argument("--start-from", type=Path, help="an exported folder to go on from")
    parser.add_argument("--export-every", type=int, default=1000)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(args.start_from) if args.start_from else make_tokenizer(args.seed)
    shape = Shape(VOCABULARY, args.width, args.layers, hidden=args.hidden)
    model = Captioner(shape)
    if args.start_from:
        model.load_state_dict(
            {n: t.float() for n, t in load_file(args.start_from / "model.safetensors").items()}
        )
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    dtype = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    tuned = optimisers(model, args.rate)
    encoder, rng = TrainingEncoder(tokenizer), Random(args.seed + 1)
    groups, recent, feed = args.groups, [9.0], None
    started, seen, total = time.time(), 0, 0.0
    step, done = 0, 0.0
    while done < 1.0:
        # graphs grow as they are learnt: copying is found in short prompts much faster than in long ones
        if feed is None or (len(recent) >= 25 and groups < MOST_GROUPS):
            if sum(recent) / len(recent) < LEARNT or done > groups / MOST_GROUPS / 4:
                groups += 1
            recent = []
            tokens = args.tokens if groups > 6 else args.tokens // 2
            feed = batches(
                stream(rng, args.world_share, args.edited_share, groups),
                encoder,
                rng,
                tokens,
                pool=64 * groups + 256,
                heavy=args.heavy,
            )
        ids, labels, weights = next(feed)
        factor = min(1.0, (step + 1) / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        said = labels >= 0
        losses = F.cross_entropy(model(ids, said, dtype).float(), labels[said], reduction="none")
        loss = (losses * weights[said]).sum() / weights[said].sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in tuned:
            for group in optimiser.param_groups:
                group["lr"] = args.rate * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        seen += ids.numel()
        recent.append(loss.item())
        total += loss.item()
        step += 1
        spent = time.time() - started
        done = spent / 60 / args.minutes if args.minutes else step / args.steps
        if step % 50 == 0:
            print(
                f"step {step} loss {total / 50:.4f} groups {groups} {spent:.0f} s {seen} tokens", flush=True
            )
            total = 0.0
        if step % args.export_every == 0 or done >= 1.0:
            export(model, shape, tokenizer, args.out)


if __name__ == "__main__":
    main()
