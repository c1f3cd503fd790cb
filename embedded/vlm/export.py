"""Write the encoder as a folder that open_clip loads as `local-dir:`."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

from embedded.training import write_model
from embedded.vlm.encoder import CONTEXT_LENGTH, END, MEAN, PAD, START, STD, model_config


def export(model: torch.nn.Module, tokenizer: Tokenizer, folder: Path) -> None:
    """Configurations, float16 weights and tokenizer into `folder`."""
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bilinear", "resize_mode": "squash"}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "bos_token": START,
        "eos_token": END,
        "model_max_length": CONTEXT_LENGTH,
    }
    config = {"model_cfg": model_config(), "preprocess_cfg": preprocess}
    texts = {
        "open_clip_config.json": json.dumps(config, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(tokenizer_config, indent=1) + "\n",
        "tokenizer.json": tokenizer.to_str(pretty=True),
    }
    write_model(folder, texts, "open_clip_model.safetensors", model.state_dict())
