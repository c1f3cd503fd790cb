"""Measure an exported encoder: `python -m embedded.vlm.evaluate --model models/vlm --validation DIR`.

`DIR` holds scenes of the general world that training never saw and, in `DIR/families`, a base scene and edits
of it at the same site, one fact apart (written by `embedded.vlm.data --families`). `DIR/datasets` holds such
families of the datasets, with objects, colours, grounds and words that training never saw (`--datasets`).
"""

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from embedded.vlm.captions import describe
from embedded.vlm.data import FAMILY, read
from embedded.vlm.encoder import MEAN, STD, encode_image, encode_text, tokenise
from embedded.world.vocabulary import DATASETS
from pipeline.graph.scene_graph import GroupGraph
from pipeline.graph.verbalise import verbalise

BATCH = 100
COSINES = {
    "colour": ("a yellow bus", "a green bus"),
    "name": ("two white buses", "two white barns"),
    "count": ("two yellow buses", "four yellow buses"),
    "position": ("bus at the top left", "bus at the bottom right"),
}


def _features(encode: Callable[[Any], torch.Tensor], rows: Any) -> torch.Tensor:
    """Normalised (N, D) features of N rows, `BATCH` at a time."""
    with torch.inference_mode():
        chunks = (encode(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))
        return torch.cat([F.normalize(chunk, dim=-1) for chunk in chunks])


def image_features(model: Any, pixels: np.ndarray) -> torch.Tensor:
    """(N, H, W, 3) uint8 to normalised (N, D), on the model's device."""
    device = model.logit_scale.device
    mean, std = (torch.tensor(value, device=device).view(3, 1, 1) for value in (MEAN, STD))

    def encode(chunk: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(np.array(chunk)).to(device).permute(0, 3, 1, 2)
        return encode_image(model, (x.float() / 255 - mean) / std)

    return _features(encode, pixels)


def text_features(model: Any, tokenizer: Tokenizer, texts: list[str]) -> torch.Tensor:
    """Normalised (N, D), on the model's device."""
    device = model.logit_scale.device
    return _features(lambda chunk: encode_text(model, tokenise(tokenizer, chunk).to(device)), texts)


def captions_for(graphs: list[GroupGraph], seed: int = 5) -> list[str]:
    """One caption of every fact for each graph."""
    rng = random.Random(seed)
    return [describe(graph, rng).text for graph in graphs]


def recall(scores: torch.Tensor, ks: tuple[int, ...] = (1, 10)) -> dict[str, float]:
    """Percent of rows of a square (queries, gallery) matrix whose own column is among the first k."""
    own = scores.diagonal().unsqueeze(1)
    rank = (scores > own).sum(dim=1)
    return {f"R@{k}": round(100 * (rank < k).float().mean().item(), 1) for k in ks}


def pair_accuracy(scores: torch.Tensor, kinds: list[str]) -> dict[str, float]:
    """Of two scenes one fact apart, percent of captions that are closer to their own image.

    Args:
        scores: (N, N) captions by images; rows come in families of `FAMILY`, the base first.
        kinds: what each scene's edit changed, "" for a base.
    """
    right: dict[str, list[float]] = defaultdict(list)
    for row, kind in enumerate(kinds):
        if not kind:
            continue
        base = row - row % FAMILY
        right[kind].append(float(scores[base, base] > scores[base, row]))
        right[kind].append(float(scores[row, row] > scores[row, base]))
    return {kind: round(100 * float(np.mean(values)), 1) for kind, values in sorted(right.items())}


def scores_by_style(
    model: Any, tokenizer: Tokenizer, pixels: np.ndarray, graphs: list[GroupGraph]
) -> dict[str, torch.Tensor]:
    """(N, N) captions by images: of captions as in training, and of the captioner's sentences."""
    images = image_features(model, pixels)  # (N, D)
    texts = {"captions": captions_for(graphs), "captioner_style": [verbalise(graph) for graph in graphs]}
    return {style: text_features(model, tokenizer, captions) @ images.T for style, captions in texts.items()}


def measure(model: Any, tokenizer: Tokenizer, folder: Path) -> dict[str, Any]:
    """Every figure that the model card quotes; `model` is in evaluation mode."""
    pixels, graphs = read(folder)
    pixels, graphs = pixels[:500], graphs[:500]
    scores = scores_by_style(model, tokenizer, pixels, graphs)
    first, second = (
        text_features(model, tokenizer, [pair[side] for pair in COSINES.values()]) for side in (0, 1)
    )
    cosines = (first * second).sum(dim=1).tolist()
    figures: dict[str, Any] = {
        "scenes": len(graphs),
        **recall(scores["captions"]),
        "image_to_text": recall(scores["captions"].T),
        "captioner_style": recall(scores["captioner_style"]),
        "cosine": {name: round(value, 3) for name, value in zip(COSINES, cosines, strict=True)},
    }
    if (folder / "families").is_dir():
        pixels, graphs = read(folder / "families")
        kinds = json.loads((folder / "families" / "kinds.json").read_text())
        scores = scores_by_style(model, tokenizer, pixels, graphs)
        own, other = (recall(s) | {"pairs": pair_accuracy(s, kinds)} for s in scores.values())
        figures |= {"families": {"scenes": len(graphs), **own}, "families_captioner_style": other}
    if (folder / "datasets").is_dir():
        figures["datasets"] = measure_by_dataset(model, tokenizer, folder / "datasets")
    return figures


def measure_by_dataset(model: Any, tokenizer: Tokenizer, folder: Path) -> dict[str, dict[str, Any]]:
    """Recall of each dataset's captions among the images of its own families in `folder`.

    Returns:
        {dataset: number of scenes, recall with captions as in training and with the captioner's sentences}.
    """
    pixels, graphs = read(folder)
    scores = scores_by_style(model, tokenizer, pixels, graphs)
    dataset = torch.arange(len(graphs)) // FAMILY % len(DATASETS)  # the order in which families are drawn
    figures: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(DATASETS):
        rows = (dataset == number).nonzero()[:, 0]
        figures[name] = {"scenes": len(rows)}
        figures[name] |= {style: recall(s[rows][:, rows]) for style, s in scores.items()}
    return figures


def main() -> None:
    import open_clip

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    options = parser.parse_args()
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{options.model}")
    model.eval()
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    print(json.dumps(measure(model, tokenizer, options.validation), indent=1))


if __name__ == "__main__":
    main()
