"""Write the model as a folder that open_clip loads as `local-dir:`."""

import json
from pathlib import Path
from typing import Any

import torch

from embedded.photographs.encoder import CONFIG, TOKENIZER, WEIGHTS
from embedded.training import write_model


def export(model: torch.nn.Module, config: dict[str, Any], start: Path, folder: Path) -> None:
    """The configuration, float16 weights, and the tokenizer of the folder that the model started from."""
    texts = {name: (start / name).read_text(encoding="utf-8") for name in TOKENIZER}
    texts[CONFIG] = json.dumps(config, indent=1) + "\n"
    write_model(folder, texts, WEIGHTS, model.state_dict())
