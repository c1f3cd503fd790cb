"""Recall of an exported encoder by dataset: `python -m models.vlm.by_dataset --model DIR --validation DIR`.

Each caption looks for its image among those of its own dataset's families (see `models.vlm.evaluate`).
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from models.vlm.data import FAMILY, read
from models.vlm.evaluate import captions_for, image_features, named, recall, text_features
from pipeline.verbalise import verbalise
from pipeline.world.vocabulary import DATASETS


def by_dataset(model: Any, tokenizer: Tokenizer, folder: Path) -> dict[str, dict[str, Any]]:
    """{dataset: number of scenes, recall with captions as in training and with the captioner's sentences}."""
    pixels, graphs = read(folder)
    images = image_features(model, pixels)  # (N, D)
    texts = {"captions": captions_for(graphs), "captioner_style": [verbalise(graph) for graph in graphs]}
    features = {name: text_features(model, tokenizer, said) for name, said in texts.items()}
    dataset = torch.arange(len(graphs)) // FAMILY % len(DATASETS)  # as `models.vlm.data` draws them
    found: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(DATASETS):
        rows = (dataset == number).nonzero()[:, 0]
        found[name] = {"scenes": len(rows)}
        for style, text in features.items():
            found[name][style] = recall(text[rows] @ images[rows].T)
    return found


def main() -> None:
    model, tokenizer, validation = named(__doc__)
    print(json.dumps(by_dataset(model, tokenizer, validation / "families"), indent=1))


if __name__ == "__main__":
    main()
