"""Go on with the text tower alone: `python -m models.vlm.tune_text --model DIR --data DIR --minutes 10 ...`.

The image tower stays as it is, so that its features are computed once, every second goes into captions, and a
caption's negatives are thousands of random images instead of a batch.
"""

import argparse
import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from models.vlm.captions import facts_of
from models.vlm.data import read
from models.vlm.encoder import encode_text, export, tokenise
from models.vlm.evaluate import image_features, report
from models.vlm.train import bag_of, fact_index, write_captions


def gallery_loss(
    text: torch.Tensor, gallery: torch.Tensor, own: torch.Tensor, scale: torch.Tensor, holds: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of each text's own image in a gallery, other images it holds for taken out.

    Args:
        text: (B, D) normalised.
        gallery: (G, D) normalised image features.
        own: (B,) the row of each text's image.
        scale: inverse temperature.
        holds: (B, G) bool, whether a text states nothing that an image lacks.
    """
    logits = scale * text @ gallery.T  # (B, G)
    others = holds.scatter(1, own.unsqueeze(1), False)
    return F.cross_entropy(logits.masked_fill(others, float("-inf")), own)


def tune(model: Any, tokenizer: Tokenizer, options: argparse.Namespace) -> None:
    """Train the text tower of `model` in place for `options.minutes`, after the image features are there."""
    pixels, graphs = read(options.data)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
        features = image_features(model, pixels).float().clone()  # (N, D)
    index = fact_index(graphs, least=2)
    lacks = 1 - bag_of([facts_of(graph) for graph in graphs], index).bfloat16()  # (N, F), exact: 0 or 1
    visual = {id(parameter) for parameter in model.visual.parameters()}
    parameters = [parameter for parameter in model.parameters() if id(parameter) not in visual]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True
    )
    rng, draw = random.Random(options.seed), np.random.default_rng(options.seed)
    start, step, log = time.monotonic(), 0, Counter[str]()
    while (progress := (time.monotonic() - start) / (60 * options.minutes)) < 1:
        rows = draw.choice(len(graphs), options.gallery, replace=False)
        captions = write_captions([graphs[row] for row in rows[: options.batch]], rng, full=0.5)
        order = sorted(range(len(captions)), key=lambda place: len(captions[place].text))
        texts = [captions[place].text for place in order]
        half = len(texts) // 2
        with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
            parts = [
                encode_text(model, tokenise(tokenizer, texts[:half])),
                encode_text(model, tokenise(tokenizer, texts[half:])),
            ]
        text = F.normalize(torch.cat(parts).float(), dim=-1)
        stated = bag_of([captions[place].facts for place in order], index)
        holds = stated.bfloat16() @ lacks[rows].T < 0.5
        loss = gallery_loss(text, features[rows], torch.tensor(order), model.logit_scale.exp(), holds)
        for group in optimizer.param_groups:
            group["lr"] = options.rate * min(1.0, progress / 0.03, (1 - progress) / 0.7)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0.0, float(np.log(100)))
        step += 1
        log.update({"loss": loss.item(), "scale": model.logit_scale.exp().item()})
        if step % 50 == 0:
            means = {name: round(total / 50, 3) for name, total in log.items()}
            print(f"{time.monotonic() - start:6.0f}s step {step}", json.dumps(means), flush=True)
            log.clear()


def main() -> None:
    import open_clip

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="an exported encoder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--gallery", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{options.model}")
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    model.eval()  # nothing in the text tower behaves otherwise in training
    tune(model, tokenizer, options)
    export(model, tokenizer, options.out)
    print("EVAL", json.dumps(report(model, tokenizer, options.validation)), flush=True)


if __name__ == "__main__":
    main()
