"""Go on with the text tower alone: `python -m models.vlm.tune_text --model DIR --data DIR --steps 3000 ...`.

The image tower stays as it is, so that its features are computed once, every second goes into captions, and a
caption's negatives are thousands of random images instead of a batch.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from models.vlm.batches import Gallery, GalleryBatches
from models.vlm.data import read
from models.vlm.encoder import encode_halves, export
from models.vlm.evaluate import image_features, report
from models.vlm.running import Figures, add_arguments, prepare, to_device, train_steps


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


class TextTrainer:
    """The state of one run; `step` is one batch."""

    def __init__(self, model: Any, features: torch.Tensor, options: argparse.Namespace) -> None:
        self.model, self.features, self.options = model, features, options
        visual = {id(parameter) for parameter in model.visual.parameters()}
        self.parameters = [parameter for parameter in model.parameters() if id(parameter) not in visual]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=options.rate, betas=(0.9, 0.98), weight_decay=0.02, fused=True
        )

    def step(self, batch: Gallery, progress: float) -> Figures:
        """One batch; `progress` from 0 to 1 sets the learning rate."""
        device = self.features.device
        batch = to_device(batch, device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.options.bf16):
            text = encode_halves(self.model, batch.texts)
        text = F.normalize(text.float(), dim=-1)
        own = torch.arange(len(text), device=device)
        scale = self.model.logit_scale.exp()
        loss = gallery_loss(text, self.features[batch.rows], own, scale, batch.holds)
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate * min(1.0, progress / 0.03, (1 - progress) / 0.7)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 2.0)
        self.optimizer.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0.0, float(np.log(100)))
        return {"loss": loss.detach(), "scale": self.model.logit_scale.detach().exp()}


def main() -> None:
    import open_clip

    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--model", type=Path, required=True, help="an exported encoder")
    parser.add_argument("--gallery", type=int, default=4096)
    parser.add_argument("--rate", type=float, default=1e-3)
    options = parser.parse_args()
    device = prepare(options)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{options.model}")
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    model = model.to(device).eval()  # nothing in the text tower behaves otherwise in training
    pixels, graphs = read(options.data)
    with torch.autocast(device.type, torch.bfloat16, enabled=options.bf16):
        features = image_features(model, pixels).float().clone()  # (N, D)
    batches = GalleryBatches(graphs, tokenizer, options.batch, options.gallery, options.seed)
    trainer = TextTrainer(model, features, options)
    train_steps(options, batches, {"model": model, "optimizer": trainer.optimizer}, trainer.step)
    export(model, tokenizer, options.out)
    print("EVAL", json.dumps(report(model, tokenizer, options.validation)), flush=True)


if __name__ == "__main__":
    main()
